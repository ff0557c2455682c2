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
func (k *keeper) admitNext(c *client, h *grant.Hello) error {
	switch {
	case k.current == nil || k.current.phase != running:
		return &missing.Error{What: "take over", Need: "a switch that is at work", Give: "start one without --takeover"}
	case k.next != nil:
		return &missing.Error{What: "take over", Need: fmt.Sprintf("a keeper that has not begun to hand over to process %d", k.next.pid),
			Give: "wait until it is done"}
	}
	if h.Settings != nil {
		p, err := k.changed(c, h.Settings)
		if err != nil {
			return err
		}
		k.nextPlan = p
	}
	k.next = c
	return nil
}

// changed is the plan with other settings.
func (k *keeper) changed(c *client, text []byte) (*plan.Plan, error) {
	if k.cfg.Settings == nil || k.keeping.plan == nil || c.uid != os.Geteuid() && c.uid != 0 {
		return nil, &missing.Error{What: "change the settings with a takeover", Need: "a keeper that was started by podswitch run, as the same user",
			Give: "start the keeper anew with other settings, or take over without any"}
	}
	settings, err := k.cfg.Settings(text)
	if err != nil {
		return nil, err
	}
	cfg := *k.cfg.Attach
	cfg.Settings = settings
	return plan.Revise(k.keeping.plan, cfg)
}

// askToYield lets the current switch make room for the next one.
func (k *keeper) askToYield() {
	c := k.current
	if c.phase != running || k.send(c, grant.Message{Yield: &grant.Yield{}}) != nil {
		k.fail(k.next, errors.New("the switch that was to make room has ended"))
		return
	}
	c.phase = yielding
	time.AfterFunc(k.patience.yield, func() {
		k.do(func() {
			if c == k.current && c.phase == yielding {
				k.release(errors.New("the switch did not make room for another one in time"))
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
func (k *keeper) handOver(c *client, y *grant.Yielded, files []int) {
	c.phase = yielded
	k.handed = &handover{grant.Go{Snapshot: y.Snapshot, Connections: y.Connections, Takeovers: k.takeovers + 1}, files}
	switch {
	case c.stopped != nil: // meanwhile it was asked to end
		c.stopped()
	case k.next == nil: // it has failed meanwhile
		k.goOn()
	default:
		k.begin(k.next, k.handed.Go, files...)
	}
}

// handedOver is the end of a takeover: the other switch is at work.
func (k *keeper) handedOver() {
	before := k.current
	k.current, k.next = k.next, nil
	k.takeovers++
	if k.nextPlan != nil {
		k.keeping.plan, k.nextPlan = k.nextPlan, nil
	}
	k.dropHandover()
	k.hangUp(before)
	_ = k.send(k.current, grant.Message{Guest: &grant.Guest{Absent: k.absent}})
	k.log.Info("another switch goes on", zap.Int("process", k.current.pid), zap.Int("after", before.pid))
}

// goOn ends a takeover that has failed: the current switch works on, or takes up again what it had handed over.
func (k *keeper) goOn() {
	k.next, k.nextPlan = nil, nil
	switch {
	case k.handed == nil:
		return
	case k.current.gone:
		k.finish(errors.New("neither the switch that was to take over nor the one before it is there any more"))
		return
	}
	k.handed.Takeovers = k.takeovers
	for i, p := range k.keeping.ports {
		if p.opened != nil {
			_ = k.send(k.current, k.keeping.openedMessage(i), p.opened.fd())
		}
	}
	k.begin(k.current, k.handed.Go, k.handed.files...)
	k.dropHandover()
}

func (k *keeper) dropHandover() {
	if k.handed != nil {
		_ = grant.CloseFiles(k.handed.files)
		k.handed = nil
	}
}
