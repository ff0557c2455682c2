package keeper

import (
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
)

// errTooManyFiles ends the session of a switch that sends descriptors faster than they can be closed.
var errTooManyFiles = errors.New("the switch has sent too many descriptors")

// receive handles a message, and owns its descriptors: only yielded has any. A message that is not allowed in the phase of the
// session ends it.
func (l *loop) receive(s *session, m grant.Message, files []int) {
	switch {
	case s.phase == phaseClosed:
		s.disposal.add(files)
		return
	case !s.phase.allows(m.Name()):
		s.disposal.add(files)
		l.violation(s, m.Name())
		return
	case m.Yielded != nil:
		l.receiveYielded(s, m.Yielded, files)
		return
	}
	if s.disposal.add(files) {
		s.abort(errTooManyFiles)
		return
	}
	switch {
	case m.Ask != nil:
		l.receiveAsk(s)
	case m.Hello != nil:
		l.receiveHello(s, m.Hello)
	case m.Ready != nil:
		l.receiveReady(s, m.Ready)
	case m.Started != nil:
		l.receiveStarted(s)
	case m.Reopen != nil:
		l.receiveReopen(s, m.Reopen)
	case m.Learned != nil:
		l.receiveLearned(s, m.Learned)
	case m.Dial != nil:
		l.receiveDial(s, m.Dial)
	case m.Bye != nil:
		l.receiveBye(s)
	case m.Stopped != nil:
		l.receiveStopped(m.Stopped)
	case m.Fault != nil:
		s.abort(faultOf(m.Fault))
	}
}

// violation ends the session of a switch that has sent a message which is not allowed.
func (l *loop) violation(s *session, name string) {
	l.log.Warn("message not allowed", s.field("process"), zap.String("message", name), zap.Stringer("phase", s.phase))
	s.abort(fmt.Errorf("the switch has sent a message that is not allowed: %s while %v", name, s.phase))
}

func (l *loop) receiveReady(s *session, r *grant.Ready) {
	l.enter(s, phaseReady)
	l.log.Debug("switch ready", s.field("process"), zap.String("sandbox", r.Sandbox))
	switch s {
	case l.current:
		l.handle(ready, nil)
	case l.next:
		l.handle(nextReady, nil)
	}
}

func (l *loop) receiveStarted(s *session) {
	if s.phase == phaseStarting {
		l.enter(s, phaseRunning)
	}
	l.handle(started, nil)
}

// receiveYielded keeps the snapshot for the switch that begins next. After Stop, it counts as Stopped.
func (l *loop) receiveYielded(s *session, y *grant.Yielded, files []int) {
	if s.phase == phaseStopping {
		s.disposal.add(files)
		l.handle(stopped, nil)
		return
	}
	l.enter(s, phaseYielded)
	l.handover = &handover{grant.Begin{Snapshot: y.Snapshot, Connections: y.Connections}, files, &s.disposal}
	l.handle(yielded, nil)
}

// receiveBye handles the request of a switch to end. The previous switch of a takeover asks for the end of the one that has
// replaced it, because the process that asked it to end did not know of the takeover.
func (l *loop) receiveBye(s *session) {
	switch s {
	case l.current:
		l.handle(bye, nil)
	case l.next:
		s.close()
		l.handle(nextLost, errBye)
	case l.previous:
		l.handle(previousBye, nil)
	}
}

// maxReason is the most bytes of a switch's reason that are logged: a switch may give one as often as it likes.
const maxReason = 4 << 10

// faultOf returns the reason that a switch gives. Further lines of its text are indented, so that none of them looks like a message of
// the keeper, which prints it.
func faultOf(f *grant.Fault) *grant.Fault {
	text := f.Text
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	return &grant.Fault{Text: strings.ReplaceAll(text, "\n", "\n    "), Code: f.Code}
}
