package keeper

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
)

// A signal to stop does not say whether a container ends for good or is replaced, for example by one of another image. Whatever manages a pod
// stops the guest before the containers that serve it. So a stop while a hypervisor is attached means a replacement. With a hold time for
// stops (Config.HoldStop) it is a pause: another switch, or the next keeper, continues as after an unasked end.

// errPaused is the reason of a hold that follows a pause.
var errPaused = errors.New("the switch has stopped while a hypervisor was attached")

// receiveStopped handles the end of the current switch.
func (l *loop) receiveStopped(m *grant.Stopped) {
	if m.Attached && l.mayPause() {
		l.handle(paused, nil)
		return
	}
	l.handle(stopped, nil)
}

// mayPause reports whether the present stop is a pause if a hypervisor is attached.
func (l *loop) mayPause() bool { return l.cfg.HoldStop > 0 && l.cause == nil && l.canPause() }

// canPause reports whether another switch can continue, or the next keeper if this one ends. The next keeper needs what switches have
// reported (Learned). A keeper that has started its switch ends with that, so no other switch can continue.
func (l *loop) canPause() bool {
	if l.state == shuttingDown {
		return l.held.learned != nil
	}
	return !l.endsWithSwitch
}

// pause performs the action of that name.
func (l *loop) pause() {
	l.closeSwitches()
	l.renewControl()
	if err := l.renewPorts(); err != nil {
		l.handle(expired, err)
		return
	}
	l.held.paused, l.held.until = true, time.Now().Add(l.cfg.HoldStop)
	l.expireHold(l.cfg.HoldStop, errPaused)
	l.log.Info("the switch has stopped while a hypervisor is attached, holding the pod address for the next one", zap.Duration("for", l.cfg.HoldStop))
}

// shutdownEvent returns the event of a keeper that is to end.
func (l *loop) shutdownEvent() event {
	if l.held.paused && l.held.learned != nil && (l.state == holding || l.state == rebuilding) {
		return paused
	}
	return shutdown
}

// leave ends the keeper and leaves the address taken. The state file and what the switch has reported are for the next keeper.
func (l *loop) leave() error {
	l.resources.revokeUplink()
	l.held.learned.close()
	l.undoTake = nil
	err := l.closeWith((*watchdog).leave)
	l.log.Info("the pod address is left to the next keeper", zap.Duration("for", l.cfg.HoldStop))
	return err
}
