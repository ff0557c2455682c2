package keeper

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

// outboxSize bounds the messages that wait for a switch, in number. A switch that reads has a few in its outbox, and at the
// beginning of a session one for each port.
const outboxSize = 1024

// errNotReading ends the session of a switch whose outbox is full.
var errNotReading = errors.New("the switch does not read its messages")

// An outgoing message has descriptors of its own: the keeper may close its copies, and the kernel may reuse their numbers, before
// a slow switch reads the message.
type outgoing struct {
	grant.Message
	files []int
	done  func() // called when the message was sent or discarded; may be nil
}

// close closes the descriptors and calls done.
func (o *outgoing) close() {
	_ = grant.CloseFiles(o.files)
	if o.done != nil {
		o.done()
	}
}

// write sends the messages of the outbox until close. It has a goroutine of its own, because the loop must not wait for a switch
// that does not read: the address may have to be given back meanwhile.
func (s *session) write() {
	var err error
	for o := range s.outbox {
		if err == nil {
			err = s.conn.Send(o.Message, o.files...) // closes the connection when it fails, which ends read
		}
		o.close()
	}
	s.conn.Close()
}

// send appends a message to the outbox, with copies of the descriptors. It does not wait.
func (s *session) send(m grant.Message, files ...int) error {
	o := outgoing{Message: m}
	for _, fd := range files {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			o.close()
			s.abort(err)
			return err
		}
		o.files = append(o.files, own)
	}
	return s.enqueue(o)
}

// enqueue appends a message to the outbox, and owns its descriptors. A full outbox ends the session.
func (s *session) enqueue(o outgoing) error {
	if s.phase != phaseClosed {
		select {
		case s.outbox <- o:
			return nil
		default:
			s.abort(errNotReading)
		}
	}
	o.close()
	return errNotReading
}

// close ends the session: the connection follows when the outbox is empty, or after endTimeout.
func (s *session) close() {
	if s.phase == phaseClosed {
		return
	}
	s.phase = phaseClosed
	s.entered++
	close(s.outbox)
	time.AfterFunc(endTimeout, func() { s.conn.Close() })
}
