package keeper

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

// maxLetters bounds what a client is still to be told. One that reads has a few at most, and at the beginning one for each port.
const maxLetters = 1024

// errNotListening is why something cannot be said.
var errNotListening = errors.New("the switch does not listen any more")

// A letter is something to say, with descriptors of its own: the keeper's may be closed, and others have their numbers, before a
// slow client reads it.
type letter struct {
	grant.Message
	files []int
	sent  func() // called at its end, whether it was read or not; may be nil
}

func (l *letter) end() {
	_ = grant.CloseFiles(l.files)
	if l.sent != nil {
		l.sent()
	}
}

// speak says what is in the outbox until hangUp. The loop does not wait for a client that does not read: an address may have to
// go back meanwhile.
func (k *keeper) speak(c *client) {
	var err error
	for l := range c.letters {
		if err == nil {
			err = c.conn.Send(l.Message, l.files...) // which closes the conversation if it fails: its reader finds that
		}
		l.end()
	}
	c.conn.Close()
}

// send says something to a client, without waiting until it has read that. The descriptors stay the caller's.
func (k *keeper) send(c *client, m grant.Message, files ...int) error {
	l := letter{Message: m}
	for _, fd := range files {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			l.end()
			c.end(err)
			return err
		}
		l.files = append(l.files, own)
	}
	return k.post(c, l)
}

// post puts a letter into the outbox. A client that has left too much unread is at its end.
func (k *keeper) post(c *client, l letter) error {
	if !c.gone {
		select {
		case c.letters <- l:
			return nil
		default:
			c.end(errNotListening)
		}
	}
	l.end()
	return errNotListening
}

// hangUp ends a conversation once everything was said, or soon if the client does not read it. It is not heard any more.
func (k *keeper) hangUp(c *client) {
	if c.gone {
		return
	}
	c.gone = true
	close(c.letters)
	time.AfterFunc(endTimeout, func() { c.conn.Close() })
}
