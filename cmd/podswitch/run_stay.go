package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/dataplane"
)

// A switch in a container of its own (run --keeper PATH) stays when its keeper has ended or has another switch. Its container must not end
// then: the kubelet doubles its delay before each start of a container that ends again and again (back-off).
//
//	            keeper there                keeper ended, other switch took over: start again (exitAgain)
//	waiting ──────────────────▶ connected ────────────────────────────────────────────────────────────▶ waiting
//	   │ --wait                     │ refused, failed
//	   ▼                            ▼
//	ended with 3               ended with its exit code
//
// The sandbox does not let a switch that has forwarded frames connect again. So each session has a process of its own, which a supervisor
// starts (superviseSelf). When they are asked to end, both end with exit code 0.

const waitFlag = "wait"

// defaultWait is longer than the longest back-off of a kubelet, which a keeper's container may be in.
const defaultWait = 6 * time.Minute

// waitPause is the time between two attempts to find a keeper.
const waitPause = 100 * time.Millisecond

// errAgain means that the process has served a keeper, and that its supervisor is to start it again.
var errAgain = errors.New("the session with the keeper has ended")

// stays reports whether the switch outlives its keeper.
func (f *switchFlags) stays() bool { return f.keeper != "" && !f.takeover && f.wait > 0 }

// stay runs the switch for one keeper after the other.
func (f *switchFlags) stay(c *cobra.Command, flags *runFlags, cfg dataplane.Config) error {
	if !f.supervised {
		return superviseSelf(c, &flags.log, func(code int) bool { return code == exitAgain })
	}
	crashBySignal()
	cfg.StandBy = true
	err := f.serveNext(c.Context(), cfg)
	if c.Context().Err() == nil && hasServed(err) {
		return silentError{errAgain}
	}
	return err
}

// serveNext serves the keeper that listens, and waits until there is one.
func (f *switchFlags) serveNext(ctx context.Context, cfg dataplane.Config) (err error) {
	end, said := time.Now().Add(f.wait), ""
	for {
		if cfg.Conn, err = f.dial(f.keeper); err == nil {
			err = dataplane.Run(ctx, cfg)
		}
		switch {
		case !isNoKeeper(err):
			return err
		case ctx.Err() != nil:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("no keeper within --%s %s: %w", waitFlag, f.wait, err)
		case said != err.Error():
			said = err.Error()
			cfg.Log.Info("waiting for the keeper", zap.String("at", f.keeper), zap.Duration("for", time.Until(end).Round(time.Second)), zap.Error(err))
		}
		select {
		case <-time.After(waitPause):
		case <-ctx.Done():
		}
	}
}

// hasServed reports whether err is the end of a session in which the keeper has granted something.
func hasServed(err error) bool {
	return err == nil || errors.Is(err, dataplane.ErrKeeperEnded) && !errors.Is(err, dataplane.ErrNoGrant)
}

// isNoKeeper reports whether there may be a keeper later: none listens now, or the one that listens has granted nothing and may do so later
// (dataplane.ErrNoGrant).
func isNoKeeper(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, dataplane.ErrNoGrant)
}
