package attach

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/control"
	"github.com/podswitch/podswitch/podnet"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// reopenEvery is how often a tap that was lost is made again until that works.
const reopenEvery = 250 * time.Millisecond

// A namedPort is a port with what status says about it.
type namedPort struct {
	vswitch.Port
	name, kind string
}

func statusOf(ports []namedPort) []control.Port {
	list := make([]control.Port, len(ports))
	for i, p := range ports {
		list[i] = control.NewPort(p.name, p.kind, p.Counters())
	}
	return list
}

func bare(ports []namedPort) []vswitch.Port {
	list := make([]vswitch.Port, len(ports))
	for i, p := range ports {
		list[i] = p.Port
	}
	return list
}

func closeAll(ports []namedPort) {
	for _, p := range ports {
		p.Close()
	}
}

// openDevice opens a guest's attachment so that it comes back after a loss: a tap is made anew, a packet socket waits for
// its device. The device of a packet socket is brought up, because a hypervisor leaves that to others.
func openDevice(spec tap.Spec, o tap.Options, log *zap.Logger, lost, back func()) (vswitch.Port, error) {
	log = log.With(zap.Stringer("port", spec))
	return tap.NewReattaching(tap.Reattach{
		Open:  func() (vswitch.Port, error) { return openOnce(spec, o, log) },
		Await: awaiting(spec, log),
		Lost: func(cause error) {
			log.Warn("device lost, waiting for it to come back", zap.Error(cause))
			lost()
		},
		Back: func() {
			log.Info("device is back")
			back()
		},
	})
}

func openOnce(spec tap.Spec, o tap.Options, log *zap.Logger) (vswitch.Port, error) {
	if spec.Kind == tap.KindPacket {
		if changed, err := tap.SetUp(spec.Name); err == nil && changed {
			log.Info("brought the device up")
		}
	}
	return tap.Open(spec, o)
}

// awaiting returns what waits until it is worth opening again: at once the first time, for a tap a moment later each time
// after, for a packet socket as soon as the device is there.
func awaiting(spec tap.Spec, log *zap.Logger) func(context.Context) error {
	if spec.Kind == tap.KindPacket {
		return func(ctx context.Context) error {
			return awaitLink(ctx, spec.Name, func(s podnet.LinkState) bool { return s.Present })
		}
	}
	return func(ctx context.Context) error { return pause(ctx, reopenEvery) }
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitLink returns nil once the link is in a state that suits. It pauses first, so that a device that cannot be opened is
// not tried in a busy loop.
func awaitLink(ctx context.Context, name string, suits func(podnet.LinkState) bool) error {
	if err := pause(ctx, reopenEvery); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	states, err := podnet.Watch(ctx, name)
	if err != nil {
		return err
	}
	for s := range states {
		if suits(s) {
			return nil
		}
	}
	return ctx.Err()
}

// errLinkGone ends a run: without its interface the pod has no network to attach to.
var errLinkGone = errors.New("the pod interface has disappeared")

// openUplink opens the pod interface. It survives going down and up, but not disappearing.
func openUplink(name string, log *zap.Logger) (vswitch.Port, error) {
	spec, counters := tap.Spec{Kind: tap.KindPacket, Name: name}, new(vswitch.Counters)
	return tap.NewReattaching(tap.Reattach{
		Open: func() (vswitch.Port, error) { return tap.Open(spec, tap.Options{Offload: true, Counters: counters}) },
		Await: func(ctx context.Context) error {
			var gone atomic.Bool
			err := awaitLink(ctx, name, func(s podnet.LinkState) bool {
				gone.Store(!s.Present)
				return !s.Present || s.Up
			})
			if gone.Load() {
				return fmt.Errorf("%s: %w", name, errLinkGone)
			}
			return err
		},
		Lost: func(cause error) { log.Warn("pod interface lost", zap.String("link", name), zap.Error(cause)) },
		Back: func() { log.Info("pod interface is back", zap.String("link", name)) },
	})
}
