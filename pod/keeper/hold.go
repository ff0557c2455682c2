package keeper

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
)

// When a switch ends unasked, the guest still has connections. The kernel would reset them if it answered for the address. The keeper
// therefore holds the address for the hold time (Config.HoldSwitch): nothing answers for it until another switch continues. The keeper starts
// that switch itself (Run), or waits for one that connects (Listen). The states holding and rebuilding of the lifecycle are those of a hold.
//
// The resources stay open, so that frames wait in the queues of the devices. Packet sockets, and the tap of the pod's own processes, are
// replaced, because the switch that has ended may have passed its descriptors on.

// The bound of switches that end unasked: a switch that fails again and again must not keep the address from the pod.
const (
	maxLosses  = 5 // within lossWindow; the next one ends the hold
	lossWindow = time.Minute
)

// A holdState belongs to the loop.
type holdState struct {
	until   time.Time // when the hold ends; zero: there is none
	paused  bool      // it follows a pause
	losses  []time.Time
	learned *learnedFile // nil: the next keeper cannot continue
	last    []byte       // the last Learned.State
}

// hold performs the action of that name.
func (l *loop) hold() {
	why := l.cause
	l.closeSwitches()
	l.renewControl()
	if err := errors.Join(l.renewPorts(), l.countLoss(why)); err != nil {
		l.handle(expired, err)
		return
	}
	rest := l.armHold(why)
	switch {
	case rest <= 0:
		l.handle(expired, why)
	case l.spawn != nil:
		l.log.Warn("the switch has ended unasked, starting another one", zap.Error(why))
		l.startAgain()
	default:
		l.log.Warn("the switch has ended unasked, holding the pod address for the next one", zap.Duration("for", rest.Round(time.Millisecond)), zap.Error(why))
	}
}

// renewPorts replaces the packet sockets, and the way out of the pod's processes, that the switch may keep. The error means that too many could
// not be revoked.
func (l *loop) renewPorts() (err error) {
	for _, p := range l.resources.ports {
		if failed := p.renew(); failed != nil {
			l.noteUnrevoked(failed)
			err = failed
			l.log.Warn("a switch that has ended unasked keeps its socket", zap.Error(failed))
		}
		l.watchdog.guard(p)
	}
	if l.tooManyUnrevoked() {
		return err
	}
	return nil
}

// countLoss counts a switch that has ended unasked. The error means that there were too many.
func (l *loop) countLoss(why error) error {
	now := time.Now()
	recent := l.held.losses[:0]
	for _, at := range l.held.losses {
		if now.Sub(at) < lossWindow {
			recent = append(recent, at)
		}
	}
	l.held.losses = append(recent, now)
	if len(l.held.losses) > maxLosses && l.cfg.HoldSwitch > 0 {
		return fmt.Errorf("the switch has ended unasked %d times within %s: %w", len(l.held.losses), lossWindow, why)
	}
	return nil
}

// armHold bounds a hold, and returns the rest of the hold time. A switch that ends before it has started does not prolong it.
func (l *loop) armHold(why error) (rest time.Duration) {
	if l.held.until.IsZero() {
		l.held.until = time.Now().Add(l.cfg.HoldSwitch)
	}
	return l.expireHold(l.cfg.HoldSwitch, why)
}

// expireHold makes the loop end the hold in time, unless a switch starts before, and returns the rest of the hold time.
func (l *loop) expireHold(hold time.Duration, why error) (rest time.Duration) {
	until := l.held.until
	rest = time.Until(until)
	if rest > 0 {
		time.AfterFunc(rest, func() {
			l.do(func() {
				if l.held.until.Equal(until) {
					l.handle(expired, fmt.Errorf("no other switch has started within %s: %w", hold, why))
				}
			})
		})
	}
	return rest
}

// startAgain starts a switch in place of the one that has ended.
func (l *loop) startAgain() {
	l.child.kill() // a switch that has only disconnected would still answer
	c, err := start(l.spawn)
	if err != nil {
		l.handle(expired, err)
		return
	}
	l.child = c
	l.current = l.connect(c.conn, c.command.Process.Pid, os.Geteuid())
	l.handle(admitted, nil)
}

// beginAgain sends Begin to a switch that continues after the unasked end of another one.
func (l *loop) beginAgain() {
	l.begin(grant.Begin{Resumed: true, Learned: l.held.last, Takeovers: l.takeovers})
}

// endHold notes that a switch has started.
func (l *loop) endHold() {
	if l.held.until.IsZero() {
		return
	}
	l.held.until, l.held.paused = time.Time{}, false
	l.log.Info("another switch continues", l.current.field("process"))
}

// receiveLearned keeps what the next switch has to know. The previous switch of a takeover has nothing to add.
func (l *loop) receiveLearned(s *session, m *grant.Learned) {
	if s != l.current {
		return
	}
	l.held.last = m.State
	l.held.learned.write(m.State)
}

// resumeTaken continues where a keeper has ended that was killed: the address is taken already. The state is the one to begin in.
func (l *loop) resumeTaken(begin state) error {
	r := l.resources
	if err := l.startWatchdog(); err != nil {
		return errors.Join(err, r.adopted.GiveBack())
	}
	r.taken, l.undoTake, l.state = r.adopted, r.adopted.GiveBack, begin
	l.held.last = readLearned(l.cfg.Pod.StateDir)
	l.keepLearned()
	l.armHold(errors.New("the keeper before this one was killed"))
	l.log.Info("continuing where the keeper before this one has ended: the pod address is taken")
	return nil
}

// adopt continues with the address that a keeper has taken which was killed, and returns the plan. The plan is nil if there is none, or
// if the settings do not allow that: the address is given back then.
func (r *resources) adopt() (*plan.Plan, error) {
	if r.cfg.HoldSwitch <= 0 {
		return nil, nil
	}
	adopted, err := podnet.Adopt(r.cfg.Pod.StateDir, r.cfg.Log)
	if err != nil || adopted == nil {
		return nil, err
	}
	p, err := plan.ResolveTaken(*r.cfg.Pod, adopted.Identity())
	if err != nil || !p.Delegates() || p.Mute {
		return nil, adopted.GiveBack() // an error of the plan returns with the plan of the interface as it then is
	}
	r.adopted = adopted
	return p, nil
}

// keepLearned writes what switches report from now on, for a keeper that continues after this one was killed.
func (l *loop) keepLearned() {
	l.held.learned = openLearned(l.cfg.Pod.StateDir, l.log)
}

// forgetLearned removes what switches have reported: the address is given back.
func (l *loop) forgetLearned() {
	l.held.learned.remove()
	l.held.learned, l.held.last, l.held.until, l.held.paused = nil, nil, time.Time{}, false
}
