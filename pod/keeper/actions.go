package keeper

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/podnet"
)

// perform executes an action of the table. An action whose result is known at once passes it to handle as the next event.
func (l *loop) perform(a action) {
	switch a {
	case none:
	case take:
		l.take()
	case begin:
		l.begin(grant.Begin{})
	case beginAgain:
		l.beginAgain()
	case hold:
		l.hold()
	case reportLinks:
		l.reportLinks()
	case dropNext:
		l.dropNext()
	case askToYield:
		l.askToYield()
	case handOver:
		l.handOver()
	case resume:
		l.resume()
	case discardHandover:
		l.discardHandover()
	case completeTakeover:
		l.completeTakeover()
	case askToStop:
		l.askToStop()
	case pause:
		l.pause()
	case leave:
		l.finish(l.leave())
	case release:
		l.finish(l.release())
	case giveBack:
		l.finish(l.giveBack())
	}
}

// take takes the address. A watchdog is started first, because only it can restore the interface, and revoke the ports, if the keeper is killed.
func (l *loop) take() {
	if err := l.tryTake(); err != nil {
		l.reject(l.current, err)
		return
	}
	l.handle(taken, nil)
}

// startWatchdog starts the watchdog for the resources.
func (l *loop) startWatchdog() (err error) {
	if l.watchdog, err = startWatchdog(l.cfg.Watchdog, l.log); err != nil {
		return err
	}
	for _, p := range l.resources.ports {
		l.watchdog.guard(p)
	}
	return nil
}

func (l *loop) tryTake() (err error) {
	p := l.resources.plan
	if p != nil && p.Delegates() {
		if err := l.startWatchdog(); err != nil {
			return err
		}
	}
	if l.watchdog == nil || p.Mute || l.cfg.HoldSwitch <= 0 {
		l.undoTake, err = l.takeAddress(l.resources)
		return err
	}
	removeLearned(l.cfg.Pod.StateDir) // of a take before this one
	if l.undoTake, err = l.takeAddress(l.resources); err == nil {
		l.keepLearned()
	}
	return err
}

// begin sends Begin to the current switch, which answers for the address from then on.
func (l *loop) begin(g grant.Begin, files ...int) {
	l.enter(l.current, phaseStarting)
	_ = l.current.send(grant.Message{Begin: &g}, files...)
}

// askToStop sends Stop to the current switch. The address is given back when the switch answers, unless the answer makes the stop a pause
// (pause.go); when the phase times out; or at once if the message cannot be sent.
func (l *loop) askToStop() {
	l.enter(l.current, phaseStopping)
	if l.current.send(grant.Message{Stop: &grant.Stop{}}) != nil {
		l.handle(stopped, nil)
	}
}

// giveBack gives the address back, and closes everything. If the keeper cannot restore the interface, the watchdog tries again
// once the state directory is unlocked; the error describes the result of that attempt.
func (l *loop) giveBack() error {
	l.resources.revokeUplink()
	undoErr := l.undoTake()
	l.undoTake = nil
	l.forgetLearned()
	w := l.watchdog
	err := l.closeAll()
	switch {
	case undoErr == nil:
		return err
	case w == nil || errors.Is(undoErr, podnet.ErrLinkGone): // there is no second attempt, or nothing to restore
	case w.failure() == nil:
		l.log.Warn("the watchdog has given the address back, after the keeper could not", zap.Error(undoErr))
		return err
	default:
		undoErr = errors.Join(undoErr, w.failure())
	}
	return errors.Join(fmt.Errorf("give the address back: %w", undoErr), err)
}

// release closes everything while the address is not taken. After a failed attempt to take it, the watchdog restores what the
// attempt could not undo.
func (l *loop) release() error {
	w := l.watchdog
	err := l.closeAll()
	switch {
	case w == nil:
		return err
	case w.failure() != nil:
		return errors.Join(err, w.failure())
	}
	var partly *podnet.TakeError
	if errors.As(l.cause, &partly) {
		l.cause = partly.Err // the watchdog has undone the rest
	}
	l.log.Info("the pod interface is as it was before the attempt to take the address")
	return err
}

// closeAll closes the resources, which unlocks the state directory, and then the watchdog, which restores what the state file
// describes. It closes the sessions of all switches that were admitted.
func (l *loop) closeAll() error { return l.closeWith((*watchdog).close) }

// closeWith is closeAll with another end of the watchdog.
func (l *loop) closeWith(end func(*watchdog)) error {
	err := l.resources.close()
	l.noteUnrevoked(err)
	end(l.watchdog)
	l.closeSwitches()
	l.resources, l.watchdog, l.links = nil, nil, linkState{}
	l.renewControl()
	return err
}

// closeSwitches closes the sessions of all switches that were admitted, and forgets them.
func (l *loop) closeSwitches() {
	for _, s := range []*session{l.current, l.next, l.previous} {
		if s != nil {
			s.close()
		}
	}
	l.discardHandover()
	l.current, l.next, l.previous, l.nextPlan, l.postponed = nil, nil, nil, nil, nil
}

// finish reports the result of a teardown: the cause, and the error of the teardown itself. A keeper that ends, or that ends with its
// switch, returns both from run; any other keeper logs them and waits for a switch.
func (l *loop) finish(teardownErr error) {
	err := errors.Join(l.cause, teardownErr)
	switch {
	case l.state == ended:
		l.err = err
		return
	case l.endsWithSwitch:
		l.err = err
		l.handle(shutdown, nil)
		return
	case err != nil:
		l.log.Error("switch failed", zap.Error(err))
	}
	l.log.Info("waiting for a switch")
}
