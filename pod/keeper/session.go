package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
)

// timeouts are the durations of the phases in which the keeper waits for a message; tests have shorter ones.
type timeouts struct{ hello, ready, start, stop, pause, yield time.Duration }

var defaultTimeouts = timeouts{
	hello: 5 * time.Second,
	ready: 30 * time.Second, // the switch builds its ports and its sandbox
	start: 2 * time.Second,
	stop:  200 * time.Millisecond, // the address goes back then, even if the switch answers for it still
	pause: 2 * time.Second,        // in place of stop where the switch's answer may leave the address taken: a busy machine must not reset connections
	yield: 2 * time.Second,        // it finishes the frames in hand, and sends its snapshot
}

// endTimeout is how long a switch may take to read its last messages, and a child to end.
const endTimeout = time.Second

// in returns the longest duration of a phase; 0: it is not bounded.
func (t timeouts) in(p phase) time.Duration {
	return [numPhases]time.Duration{phaseConnected: t.hello, phaseBuilding: t.ready, phaseStarting: t.start, phaseStopping: t.stop,
		phaseYielding: t.yield}[p]
}

// A session is the connection with one switch. Two goroutines use the connection: read receives, and write sends. Everything else
// belongs to the loop.
type session struct {
	conn      *grant.Conn
	disposal  disposal        // for any goroutine
	written   chan struct{}   // closed at the end of write
	lose      func(why error) // makes the loop handle the end of the session soon; for any goroutine
	outbox    chan outgoing
	pid       int // as this process's namespace has it; 0: the switch is in a process namespace that this process cannot see
	uid       int
	phase     phase
	revision  int   // of the pod's network that it has been told
	isTold    bool  // a Changed waits for it
	entered   int   // how many phases it has entered: a timer that was set in an earlier one does nothing
	isLost    bool  // the loop has handled the end of the connection
	notSwitch error // why the peer may only ask; nil: it may be a switch
	fault     error // why the keeper ends the session, or what the switch gave as its reason; nil: neither
}

// connect begins a session.
func (l *loop) connect(conn *grant.Conn, pid, uid int) *session {
	s := l.newSession(conn, pid, uid)
	l.sessions[s] = true
	l.enter(s, phaseConnected)
	l.writers.Go(s.write)
	go l.read(s)
	return s
}

// newSession returns a session without its goroutines.
func (l *loop) newSession(conn *grant.Conn, pid, uid int) *session {
	s := &session{conn: conn, outbox: make(chan outgoing, outboxSize), written: make(chan struct{}), pid: pid, uid: uid}
	s.lose = func(why error) { go l.do(func() { l.disconnected(s, why) }) }
	conn.RefuseFiles(true)
	conn.DiscardWith(func(files []int) { s.disposal.add(files) })
	return s
}

// enter begins a phase, and bounds its duration. A closed session stays closed.
func (l *loop) enter(s *session, p phase) {
	if s.phase == phaseClosed {
		return
	}
	s.phase = p
	s.conn.RefuseFiles(p != phaseYielding || !l.resources.hasConnections())
	s.conn.RefuseLarge(!l.expectsLarge(p))
	s.entered++
	d, entered := l.timeouts.in(p), s.entered
	if p == phaseStopping && l.mayPause() {
		d = l.timeouts.pause
	}
	if d == 0 {
		return
	}
	time.AfterFunc(d, func() {
		l.do(func() {
			if s.entered == entered {
				l.timedOut(s, d)
			}
		})
	})
}

// expectsLarge reports whether a switch may send a large message in a phase: settings, if a takeover may have any, or a snapshot.
func (l *loop) expectsLarge(p phase) bool {
	return p == phaseYielding || p == phaseConnected && l.cfg.ParseSettings != nil
}

// timedOut ends a phase that has taken too long.
func (l *loop) timedOut(s *session, d time.Duration) {
	err := fmt.Errorf("the switch has not sent %s within %s", awaited[s.phase], d)
	switch s.phase {
	case phaseStopping:
		l.handle(stopped, nil)
	case phaseYielding:
		l.handle(failed, err)
	default:
		s.abort(err)
	}
}

// read passes the messages of a switch to the loop until the session ends. It then closes the connection and waits for everything else that
// is to be closed: until then the session counts (maxSessions).
func (l *loop) read(s *session) {
	for {
		m, files, err := s.conn.Receive()
		if err != nil {
			l.do(func() { l.disconnected(s, err) })
			break
		}
		if !l.do(func() { l.receive(s, m, files) }) {
			s.disposal.add(files)
			break
		}
	}
	<-s.written // the last user of a connection closes it, and write would not expect to wait
	_ = s.conn.Close()
	s.disposal.wait()
	l.do(func() { delete(l.sessions, s) })
}

// abort ends the session, which ends read. The loop does not wait for read to report the loss.
func (s *session) abort(why error) {
	if s.fault == nil {
		s.fault = why
	}
	s.conn.End()
	s.lose(why)
}

// reject sends a switch the reason why it cannot go on, and closes the session.
func (l *loop) reject(s *session, cause error) {
	_ = s.send(grant.Message{Fault: &grant.Fault{Text: cause.Error(), Code: l.codeOf(cause)}})
	s.close()
	switch s {
	case l.current:
		l.handle(failed, cause)
	case l.next:
		l.handle(nextLost, cause)
	}
}

// codeOf returns the Code of the Fault that an error becomes.
func (l *loop) codeOf(cause error) int {
	var later *laterError
	if errors.As(cause, &later) {
		return grant.TryLater
	}
	return l.cfg.ExitCode(cause)
}

// disconnected handles the end of a connection, which is the end of its switch. Only the first call for a session counts.
func (l *loop) disconnected(s *session, cause error) {
	if s.isLost {
		return
	}
	s.isLost = true
	l.forgetStanding(s)
	s.conn.End()
	s.close()
	switch why := s.why(cause); s {
	case l.current:
		l.handle(lost, why)
	case l.next:
		l.handle(nextLost, why)
	case l.previous:
		l.handle(previousLost, why)
	default:
		l.log.Debug("session ended", s.field("process"), zap.Error(why))
	}
}

// why returns the reason why a session has ended.
func (s *session) why(cause error) error {
	switch {
	case s.fault != nil:
		return s.fault
	case errors.Is(cause, io.EOF):
		return errors.New("the switch has disconnected without giving a reason")
	case errors.Is(cause, os.ErrDeadlineExceeded): // ended by write, when Send has failed
		return errNotReading
	}
	return fmt.Errorf("the session with the switch has failed: %w", cause)
}
