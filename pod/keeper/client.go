package keeper

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
)

// A phase is how far a conversation is.
type phase uint8

const (
	connected phase = iota // it has said nothing
	granted                // it builds
	ready                  // it has built everything and waits for the one before it
	starting               // it was told to begin
	running                // it switches
	yielding               // it was asked to make room
	yielded                // it has
)

// A client is a switch, as the keeper sees it. Everything but the conversation belongs to the loop.
type client struct {
	conn    *grant.Conn
	letters chan letter // what it is still to be told
	gone    bool        // it is told nothing more, and heard no more
	pid     int         // 0: it is of a process namespace that this one cannot see
	uid     int
	phase   phase
	turn    int    // how often its time was limited
	asked   bool   // it asked for its end
	stopped func() // what follows when it answers for the address no more; nil: nobody waits for that
	fault   error  // why it has to end; nil: it does so by itself
}

// welcome begins a conversation.
func (k *keeper) welcome(conn *grant.Conn) *client {
	c := &client{conn: conn, letters: make(chan letter, maxLetters)}
	k.clients[c] = true
	k.limit(c, connected, k.patience.hello)
	k.said.Go(func() { k.speak(c) })
	go k.listenTo(c)
	return c
}

// limit ends the conversation with a client that is in this phase for too long: others may be waiting. It may be in a phase twice.
func (k *keeper) limit(c *client, p phase, d time.Duration) {
	c.turn++
	turn := c.turn
	time.AfterFunc(d, func() {
		k.do(func() {
			if c.phase == p && c.turn == turn {
				c.end(fmt.Errorf("the switch has not said anything for %s", d))
			}
		})
	})
}

// listenTo hands what a client says to the loop, until its end.
func (k *keeper) listenTo(c *client) {
	for {
		m, files, err := c.conn.Receive()
		if err != nil {
			k.do(func() { k.left(c, err) })
			return
		}
		if !k.do(func() { k.hear(c, m, files) }) {
			_ = grant.CloseFiles(files)
			return
		}
	}
}

// hear is what the keeper does when a client says something. Whoever says what is not for him to say is not understood.
func (k *keeper) hear(c *client, m grant.Message, files []int) {
	if m.Yielded == nil {
		_ = grant.CloseFiles(files) // nothing else has descriptors
		files = nil
	}
	switch {
	case c.gone:
		_ = grant.CloseFiles(files)
	case m.Fault != nil:
		c.end(m.Fault)
	case m.Hello != nil && c.phase == connected:
		k.greet(c, m.Hello)
	case m.Ready != nil && c.phase == granted:
		k.ready(c, m.Ready)
	case m.Started != nil && c.phase == starting:
		k.started(c)
	case m.Reopen != nil && k.works(c) && m.Reopen.Port >= 0 && m.Reopen.Port < len(k.keeping.ports):
		k.reopen(m.Reopen.Port)
	case m.Dial != nil && k.works(c):
		k.dial(c, m.Dial)
	case m.Bye != nil && c.phase >= granted:
		c.asked = true
		k.bye(c)
	case m.Stopped != nil && c.stopped != nil:
		c.stopped()
	case m.Yielded != nil && c.phase == yielding:
		k.handOver(c, m.Yielded, files)
	case m.Yielded != nil:
		_ = grant.CloseFiles(files)
		fallthrough
	default:
		k.log.Warn("a switch says what is not for it to say", zap.Int("process", c.pid))
		c.end(errOutOfTurn)
	}
}

// works tells whether it is for a client to want something.
func (k *keeper) works(c *client) bool {
	return (c == k.current || c == k.next) && c.phase >= starting && k.keeping != nil
}

// left is what the keeper does when a conversation has ended.
func (k *keeper) left(c *client, cause error) {
	c.conn.Close()
	k.hangUp(c)
	delete(k.clients, c)
	switch {
	case c.stopped != nil: // it has no other way to say so
		c.stopped()
	case c == k.next:
		k.log.Warn("the takeover has failed", zap.Int("process", c.pid), zap.Error(c.why(cause)))
		k.goOn()
	case c != k.current || c.phase == yielded && k.next != nil: // it has said all that it knows
	case c.asked:
		k.finish(nil)
	default:
		k.finish(c.why(cause))
	}
}

// errOutOfTurn is why a switch has to end that asks for what it cannot have.
var errOutOfTurn = errors.New("the switch has said what is not for it to say")

// end ends a conversation at once.
func (c *client) end(why error) {
	if c.fault == nil {
		c.fault = why
	}
	c.conn.Close() // its reader finds that
}

// why says why a conversation has ended.
func (c *client) why(cause error) error {
	switch {
	case c.fault != nil:
		return c.fault
	case errors.Is(cause, io.EOF):
		return errors.New("the switch has ended without a word")
	case errors.Is(cause, net.ErrClosed): // nobody but who speaks to it closes it without a reason
		return errNotListening
	}
	return fmt.Errorf("the conversation with the switch has ended: %w", cause)
}

// greet answers a Hello.
func (k *keeper) greet(c *client, h *grant.Hello) {
	if err := k.admit(c, h); err != nil {
		k.fail(c, err)
		return
	}
	c.phase = granted
	k.limit(c, granted, k.patience.ready)
	p := k.keeping.plan
	if c == k.next && k.nextPlan != nil {
		p = k.nextPlan
	}
	if k.sendGrant(c, p) != nil {
		return
	}
	for i, p := range k.keeping.ports {
		if p.opened != nil && k.send(c, k.keeping.openedMessage(i), p.opened.fd()) != nil {
			return
		}
	}
}

// sendGrant lends the control socket. A switch may be listening on it: its descriptor must not be had by File and Fd, which would
// make it blocking for that one, too.
func (k *keeper) sendGrant(c *client, p *plan.Plan) error {
	failed, err := descriptor.Borrow(k.keeping.control, func(fd int) (error, error) {
		return k.send(c, k.keeping.grant(p, os.Getpid()), fd), nil
	})
	if err != nil {
		k.fail(c, err)
	}
	return errors.Join(err, failed)
}

// admit finds out whether a switch may begin, or take over, and opens what it needs.
func (k *keeper) admit(c *client, h *grant.Hello) (err error) {
	switch {
	case h.Version != grant.Version:
		return &missing.Error{What: "speak with this keeper", Need: fmt.Sprintf("version %d of its protocol, not %d", grant.Version, h.Version),
			Give: "use the same podswitch on both sides"}
	case h.Takeover:
		return k.admitNext(c, h)
	case c == k.current: // it was started by this keeper
		return nil
	case k.current != nil:
		return k.busyError()
	}
	if k.keeping, err = keep(&k.cfg); err != nil {
		k.log.Error("nothing can be kept", zap.Error(err))
		return err
	}
	k.current = c
	return nil
}
