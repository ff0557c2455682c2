package keeper

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
)

// A takeover: another switch has connected and gets everything that the current one has. Until it is ready, the current one
// knows nothing of it; if it fails, nothing has happened.

// admitNext finds out whether a switch may take over.
func (l *loop) admitNext(s *session, h *grant.Hello) error {
	switch {
	case l.current == nil || l.current.phase != running:
		return &missing.Error{What: "take over", Need: "a switch that is at work", Give: "start one without --takeover"}
	case l.next != nil:
		return &missing.Error{What: "take over", Need: fmt.Sprintf("a keeper that has not begun to hand over to process %d", l.next.pid),
			Give: "wait until it is done"}
	}
	if h.Settings != nil {
		p, err := l.changed(s, h.Settings)
		if err != nil {
			return err
		}
		l.nextPlan = p
	}
	l.next = s
	return nil
}

// changed is the plan with other settings.
func (l *loop) changed(s *session, text []byte) (*plan.Plan, error) {
	if l.cfg.Settings == nil || l.resources.plan == nil || s.uid != os.Geteuid() && s.uid != 0 {
		return nil, &missing.Error{What: "change the settings with a takeover", Need: "a keeper that was started by podswitch run, as the same user",
			Give: "start the keeper anew with other settings, or take over without any"}
	}
	settings, err := l.cfg.Settings(text)
	if err != nil {
		return nil, err
	}
	cfg := *l.cfg.Attach
	cfg.Settings = settings
	return plan.Revise(l.resources.plan, cfg)
}

// askToYield lets the current switch make room for the next one.
func (l *loop) askToYield() {
	s := l.current
	if s.phase != running || s.send(grant.Message{Yield: &grant.Yield{}}) != nil {
		l.fail(l.next, errors.New("the switch that was to make room has ended"))
		return
	}
	s.phase = yielding
	time.AfterFunc(l.timeouts.yield, func() {
		l.do(func() {
			if s == l.current && s.phase == yielding {
				l.release(errors.New("the switch did not make room for another one in time"))
			}
		})
	})
}

// A handover is what one switch has said for the next one, until that one is at work. The descriptors are the keeper's.
type handover struct {
	grant.Go
	files []int
}

// handOver lets the next switch begin where the current one has stopped.
func (l *loop) handOver(s *session, y *grant.Yielded, files []int) {
	s.phase = yielded
	l.handover = &handover{grant.Go{Snapshot: y.Snapshot, Connections: y.Connections, Takeovers: l.takeovers + 1}, files}
	switch {
	case s.stopped != nil: // meanwhile it was asked to end
		s.stopped()
	case l.next == nil: // it has failed meanwhile
		l.goOn()
	default:
		l.begin(l.next, l.handover.Go, files...)
	}
}

// handedOver is the end of a takeover: the other switch is at work.
func (l *loop) handedOver() {
	before := l.current
	l.current, l.next = l.next, nil
	l.takeovers++
	if l.nextPlan != nil {
		l.resources.plan, l.nextPlan = l.nextPlan, nil
	}
	l.dropHandover()
	before.hangUp()
	_ = l.current.send(grant.Message{Guest: &grant.Guest{Absent: l.absent}})
	l.log.Info("another switch goes on", zap.Int("process", l.current.pid), zap.Int("after", before.pid))
}

// goOn ends a takeover that has failed: the current switch works on, or takes up again what it had handover over.
func (l *loop) goOn() {
	l.next, l.nextPlan = nil, nil
	switch {
	case l.handover == nil:
		return
	case l.current.gone:
		l.finish(errors.New("neither the switch that was to take over nor the one before it is there any more"))
		return
	}
	l.handover.Takeovers = l.takeovers
	for i, p := range l.resources.ports {
		if p.handle != nil {
			_ = l.current.send(l.resources.openedMessage(i), p.handle.fd())
		}
	}
	l.begin(l.current, l.handover.Go, l.handover.files...)
	l.dropHandover()
}

func (l *loop) dropHandover() {
	if l.handover != nil {
		_ = grant.CloseFiles(l.handover.files)
		l.handover = nil
	}
}
