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

// A session is the connection with one switch. Everything but the connection belongs to the loop.
type session struct {
	conn    *grant.Conn
	outbox  chan outgoing // what it is still to be told
	gone    bool          // it is told nothing more, and heard no more
	pid     int           // 0: it is of a process namespace that this one cannot see
	uid     int
	phase   phase
	turn    int    // how often its time was limited
	asked   bool   // it asked for its end
	stopped func() // what follows when it answers for the address no more; nil: nobody waits for that
	fault   error  // why it has to end; nil: it does so by itself
}

// connect begins a conversation.
func (l *loop) connect(conn *grant.Conn) *session {
	s := &session{conn: conn, outbox: make(chan outgoing, outboxSize)}
	l.sessions[s] = true
	l.limit(s, connected, l.timeouts.hello)
	l.writers.Go(func() { s.write() })
	go l.read(s)
	return s
}

// limit ends a session that is in this phase for too long: others may be waiting. It may be in a phase twice.
func (l *loop) limit(s *session, p phase, d time.Duration) {
	s.turn++
	turn := s.turn
	time.AfterFunc(d, func() {
		l.do(func() {
			if s.phase == p && s.turn == turn {
				s.end(fmt.Errorf("the switch has not said anything for %s", d))
			}
		})
	})
}

// read passes the messages of a switch to the loop until the connection ends.
func (l *loop) read(s *session) {
	for {
		m, files, err := s.conn.Receive()
		if err != nil {
			l.do(func() { l.disconnected(s, err) })
			return
		}
		if !l.do(func() { l.receive(s, m, files) }) {
			_ = grant.CloseFiles(files)
			return
		}
	}
}

// receive handles a message. One that is not allowed in this phase ends the session.
func (l *loop) receive(s *session, m grant.Message, files []int) {
	if m.Yielded == nil {
		_ = grant.CloseFiles(files) // nothing else has descriptors
		files = nil
	}
	switch {
	case s.gone:
		_ = grant.CloseFiles(files)
	case m.Fault != nil:
		s.end(m.Fault)
	case m.Hello != nil && s.phase == connected:
		l.hello(s, m.Hello)
	case m.Ready != nil && s.phase == granted:
		l.ready(s, m.Ready)
	case m.Started != nil && s.phase == starting:
		l.started(s)
	case m.Reopen != nil && l.works(s) && m.Reopen.Port >= 0 && m.Reopen.Port < len(l.resources.ports):
		l.reopen(m.Reopen.Port)
	case m.Dial != nil && l.works(s):
		l.dial(s, m.Dial)
	case m.Bye != nil && s.phase >= granted:
		s.asked = true
		l.bye(s)
	case m.Stopped != nil && s.stopped != nil:
		s.stopped()
	case m.Yielded != nil && s.phase == yielding:
		l.handOver(s, m.Yielded, files)
	case m.Yielded != nil:
		_ = grant.CloseFiles(files)
		fallthrough
	default:
		l.log.Warn("a switch says what is not for it to say", zap.Int("process", s.pid))
		s.end(errNotAllowed)
	}
}

// works reports whether the switch may make requests.
func (l *loop) works(s *session) bool {
	return (s == l.current || s == l.next) && s.phase >= starting && l.resources != nil
}

// left is what the keeper does when a conversation has ended.
func (l *loop) disconnected(s *session, cause error) {
	s.conn.Close()
	s.hangUp()
	delete(l.sessions, s)
	switch {
	case s.stopped != nil: // it has no other way to say so
		s.stopped()
	case s == l.next:
		l.log.Warn("the takeover has failed", zap.Int("process", s.pid), zap.Error(s.why(cause)))
		l.goOn()
	case s != l.current || s.phase == yielded && l.next != nil: // it has said all that it knows
	case s.asked:
		l.finish(nil)
	default:
		l.finish(s.why(cause))
	}
}

// errNotAllowed is why a switch has to end that asks for what it cannot have.
var errNotAllowed = errors.New("the switch has said what is not for it to say")

// end ends a conversation at once.
func (s *session) end(why error) {
	if s.fault == nil {
		s.fault = why
	}
	s.conn.Close() // its reader finds that
}

// why says why a conversation has ended.
func (s *session) why(cause error) error {
	switch {
	case s.fault != nil:
		return s.fault
	case errors.Is(cause, io.EOF):
		return errors.New("the switch has ended without a word")
	case errors.Is(cause, net.ErrClosed): // nobody but who speaks to it closes it without a reason
		return errNotReading
	}
	return fmt.Errorf("the conversation with the switch has ended: %w", cause)
}

// hello answers a Hello.
func (l *loop) hello(s *session, h *grant.Hello) {
	if err := l.admit(s, h); err != nil {
		l.fail(s, err)
		return
	}
	s.phase = granted
	l.limit(s, granted, l.timeouts.ready)
	p := l.resources.plan
	if s == l.next && l.nextPlan != nil {
		p = l.nextPlan
	}
	if l.sendGrant(s, p) != nil {
		return
	}
	for i, p := range l.resources.ports {
		if p.handle != nil && s.send(l.resources.openedMessage(i), p.handle.fd()) != nil {
			return
		}
	}
}

// sendGrant lends the control socket. A switch may be listening on it: its descriptor must not be had by File and Fd, which would
// make it blocking for that one, too.
func (l *loop) sendGrant(s *session, p *plan.Plan) error {
	failed, err := descriptor.Borrow(l.resources.control, func(fd int) (error, error) {
		return s.send(l.resources.grant(p, os.Getpid()), fd), nil
	})
	if err != nil {
		l.fail(s, err)
	}
	return errors.Join(err, failed)
}

// admit finds out whether a switch may begin, or take over, and opens what it needs.
func (l *loop) admit(s *session, h *grant.Hello) (err error) {
	switch {
	case h.Version != grant.Version:
		return &missing.Error{What: "speak with this keeper", Need: fmt.Sprintf("version %d of its protocol, not %d", grant.Version, h.Version),
			Give: "use the same podswitch on both sides"}
	case h.Takeover:
		return l.admitNext(s, h)
	case s == l.current: // it was started by this keeper
		return nil
	case l.current != nil:
		return l.busyError()
	}
	if l.resources, err = openResources(&l.cfg); err != nil {
		l.log.Error("nothing can be kept", zap.Error(err))
		return err
	}
	l.current = s
	return nil
}
