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

// An outgoing message has copies of the descriptors: the keeper may close its copies, and the kernel may reuse their numbers, before
// a slow switch reads the message.
type outgoing struct {
	grant.Message
	files []int
	done  func() // called when the message was sent or discarded; may be nil
}

// close closes the descriptors, of which the switch may have a copy, and calls done.
func (m *outgoing) close(d *disposal) {
	d.add(m.files)
	if m.done != nil {
		m.done()
	}
}

// write sends the messages of the outbox until close. It runs in a separate goroutine, because the loop must not wait for a switch
// that does not read: the address may have to be given back in that time.
func (s *session) write() {
	defer close(s.written)
	var err error
	for m := range s.outbox {
		if err == nil {
			if err = s.conn.Send(m.Message, m.files...); err != nil {
				s.sendFailed(err)
			}
		}
		m.close(&s.disposal)
	}
	s.conn.End()
}

// sendFailed ends the session. A switch that has ended may have sent a Fault, which read has time to return.
func (s *session) sendFailed(err error) {
	if errors.Is(err, unix.EPIPE) {
		time.AfterFunc(endTimeout, func() { s.lose(err) })
		return
	}
	s.lose(err)
}

// send appends a message to the outbox, with copies of the descriptors. It does not wait.
func (s *session) send(message grant.Message, files ...int) error {
	m := outgoing{Message: message}
	for _, fd := range files {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			m.close(&s.disposal)
			s.abort(err)
			return err
		}
		m.files = append(m.files, own)
	}
	return s.enqueue(m)
}

// enqueue appends a message to the outbox, and owns its descriptors. A full outbox ends the session.
func (s *session) enqueue(m outgoing) error {
	if s.phase != phaseClosed {
		select {
		case s.outbox <- m:
			return nil
		default:
			s.abort(errNotReading)
		}
	}
	m.close(&s.disposal)
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
	time.AfterFunc(endTimeout, s.conn.End)
}
