package keeper

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
)

// A takeover replaces the current switch by the next one. The next switch gets copies of the current one's descriptors, and builds
// its ports and its sandbox while the current one forwards frames. Then the current one yields: it stops, and sends a snapshot,
// with which the next one begins. If the next one fails before it has started, the previous one begins again with its own
// snapshot. The states preparing to committed of the lifecycle are those of a takeover.

// errBye is the reason why a switch ends that has sent Bye.
var errBye = errors.New("the switch has asked for its end")

// admitNext checks that a switch may take over, and makes it the next one.
func (l *loop) admitNext(s *session, h *grant.Hello) (err error) {
	switch {
	case l.next != nil:
		return &missing.Error{What: "take over", Need: fmt.Sprintf("a keeper without another takeover, and %s is taking over", l.next.name()),
			Give: "wait until that has ended"}
	case l.state != running:
		return &missing.Error{What: "take over", Need: "a running switch", Give: "start one without --takeover"}
	}
	if h.Settings != nil {
		if l.nextPlan, err = l.revise(s, h.Settings); err != nil {
			return err
		}
	}
	l.next = s
	l.handle(nextAdmitted, nil)
	return nil
}

// revise returns the plan with the settings that the next switch brings.
func (l *loop) revise(s *session, text []byte) (*plan.Plan, error) {
	if l.cfg.ParseSettings == nil || l.resources.plan == nil || s.uid != os.Geteuid() && s.uid != 0 {
		return nil, &missing.Error{What: "change the settings with a takeover", Need: "a keeper that was started by podswitch run, as the same user",
			Give: "restart the keeper with other settings, or take over without any"}
	}
	settings, err := l.cfg.ParseSettings(text)
	if err != nil {
		return nil, err
	}
	cfg := *l.cfg.Pod
	cfg.Settings = settings
	revised, err := plan.Revise(l.resources.plan, cfg)
	if err != nil {
		return nil, err
	}
	for _, w := range revised.Warnings {
		if !slices.Contains(l.resources.plan.Warnings, w) {
			l.log.Warn(w)
		}
	}
	l.warnOfRemoved(l.resources.plan, revised)
	return revised, nil
}

// warnOfRemoved logs what the new settings take away: a command line without --deny or --keep removes those of the earlier one.
func (l *loop) warnOfRemoved(before, after *plan.Plan) {
	for _, rule := range before.Rules {
		if !rule.Allow && !slices.Contains(after.Rules, rule) {
			l.log.Warn("the takeover removes a deny rule", zap.Stringer("destination", plan.DenyRule{Destination: rule.Destination, Port: rule.Port}))
		}
	}
	for _, port := range before.KeptPorts {
		if !slices.Contains(after.KeptPorts, port) {
			l.log.Warn("the takeover removes a kept port", zap.Stringer("port", port))
		}
	}
}

// dropNext ends a takeover before the current switch has yielded.
func (l *loop) dropNext() {
	l.takeoverFailed(l.next)
	l.next.close()
	l.next, l.nextPlan = nil, nil
	l.openPostponed()
}

func (l *loop) takeoverFailed(s *session) {
	l.log.Warn("takeover failed", s.field("process"), zap.Error(l.cause))
}

// askToYield sends Yield to the current switch.
func (l *loop) askToYield() {
	l.enter(l.current, phaseYielding)
	if l.current.send(grant.Message{Yield: &grant.Yield{}}) != nil {
		l.reject(l.next, errors.New("the current switch does not read its messages"))
	}
}

// A handover is the snapshot of a switch that has yielded, for the switch that begins next, with the descriptors of its
// connections. The keeper owns its descriptors until a switch has started.
type handover struct {
	grant.Begin
	files    []int
	disposal *disposal // of the session that has passed them
}

// handOver makes the next switch the current one, which begins with the snapshot of the previous one.
func (l *loop) handOver() {
	l.previous, l.current, l.next = l.current, l.next, nil
	for _, index := range l.renewPostponed() {
		if l.resources.ports[index].isOpen() {
			_ = l.current.send(l.resources.openedMessage(index), l.resources.ports[index].handle.fd())
		}
	}
	l.handover.Takeovers = l.takeovers + 1
	l.begin(l.handover.Begin, l.handover.files...)
}

// resume lets the switch that has yielded begin again. It gets all ports again, because it has closed its own.
func (l *loop) resume() {
	if l.previous != nil {
		l.takeoverFailed(l.current)
		l.current.close()
		l.current, l.previous = l.previous, nil
	}
	l.nextPlan = nil
	l.handover.Takeovers = l.takeovers
	l.renewPostponed()
	l.sendPorts(l.current)
	l.begin(l.handover.Begin, l.handover.files...)
	l.discardHandover()
}

// completeTakeover makes the change final: the current switch has started.
func (l *loop) completeTakeover() {
	l.log.Info("takeover complete", l.current.field("process"), l.previous.field("after"))
	l.previous.close()
	l.previous = nil
	l.child.retire()
	l.takeovers++
	if l.nextPlan != nil {
		l.resources.plan, l.nextPlan = l.nextPlan, nil
	}
	l.discardHandover()
	l.sendLinks()
}

// discardHandover closes the descriptors of the snapshot.
func (l *loop) discardHandover() {
	if l.handover != nil {
		l.handover.disposal.add(l.handover.files)
		l.handover = nil
	}
}
