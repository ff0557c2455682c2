package attach

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/control"
	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/podnet"
)

// Run attaches the guest until ctx is done, and then returns nil with the pod interface as it was before. Any other end is
// an error; the interface is given back then too, if it is still there.
func Run(ctx context.Context, cfg Config) error {
	lock, err := podnet.Lock(cfg.StateDir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := recoverEarlier(cfg); err != nil {
		return err
	}
	plan, err := Resolve(cfg)
	if err != nil {
		return err
	}
	for _, w := range plan.Warnings {
		cfg.Log.Warn(w)
	}
	if cfg.Resolved != nil {
		cfg.Resolved(plan)
	}
	listener, err := control.Listen(cfg.Control)
	if err != nil {
		return err
	}
	defer listener.Close()
	if cfg.VM.Interface.Method == model.Bridge {
		return runBridge(ctx, cfg, plan, listener)
	}
	d, err := newDelegation(cfg, plan)
	if err != nil {
		return err
	}
	return d.run(ctx, listener)
}

// recoverEarlier puts back what an earlier run in this state directory could not.
func recoverEarlier(cfg Config) error {
	report, err := podnet.Recover(cfg.StateDir)
	if errors.Is(err, podnet.ErrLinkGone) { // and the state file with it
		cfg.Log.Warn("what an earlier run took is gone", zap.Error(err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("give back what an earlier run took: %w", err)
	}
	if report != "" {
		cfg.Log.Warn("an earlier run did not give back", zap.String("now", report))
	}
	return nil
}
