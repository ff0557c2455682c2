package keeper

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/podnet"
)

// restoreEarlier gives back an address that an earlier run has left taken. The caller holds the lock of the state directory.
func restoreEarlier(cfg *Config) error {
	report, err := podnet.RestoreLocked(cfg.Pod.StateDir)
	if report != "" {
		cfg.Log.Warn("an earlier run did not give back the address", zap.String("report", report))
	}
	if errors.Is(err, podnet.ErrLinkGone) { // RestoreLocked has removed the state file
		cfg.Log.Warn("the interface of an earlier run does not exist any more", zap.Error(err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("give back the address that an earlier run has taken: %w", err)
	}
	return nil
}

// mayContinue reports whether an earlier run has left an address taken with which this keeper may continue.
func (l *loop) mayContinue() bool {
	if l.cfg.Pod == nil || l.cfg.HoldSwitch <= 0 {
		return false
	}
	pending, err := podnet.Pending(l.cfg.Pod.StateDir)
	return pending != nil && err == nil
}

// resumeOrRestore continues with what an earlier run has left taken, or gives it back.
func (l *loop) resumeOrRestore() error {
	if !l.mayContinue() {
		return restoreNow(&l.cfg)
	}
	if err := l.open(holding, idle); err != nil {
		l.log.Warn("cannot continue where the keeper before this one has ended", zap.Error(err))
		return restoreNow(&l.cfg)
	}
	if l.state == idle { // it was given back
		return l.closeAll()
	}
	return nil
}

// restoreNow is restoreEarlier for a caller that does not hold the lock.
func restoreNow(cfg *Config) error {
	lock, err := podnet.Lock(cfg.Pod.StateDir)
	if err != nil {
		return err
	}
	return errors.Join(restoreEarlier(cfg), lock.Close())
}
