package keeper

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
)

// A linkState is what the kernel reports of the guest's device and of the pod interface. The zero value is for new resources.
type linkState struct {
	isWatched   bool // reports arrive, or there are none for this kind of device
	guestAbsent bool // the guest's device does not exist, or the hypervisor does not have it open
	uplinkDown  bool // the pod interface, or its other end, is down
}

// reportLinks sends GuestState, UplinkState and Changed to the switch that has started. For the first switch of the resources it starts the watches, whose
// first reports follow at once.
func (l *loop) reportLinks() {
	l.endHold()
	if l.links.isWatched {
		l.sendLinks()
		return
	}
	l.links.isWatched = true
	if l.resources.plan == nil {
		return
	}
	if guest := l.resources.ports[0]; guest.spec.Kind == hypervisor.KindPacket {
		l.watch("guest's device", l.guestChanged, func(ctx context.Context) (<-chan podnet.LinkState, error) { return podnet.Watch(ctx, guest.spec.Name) })
	}
	link := l.resources.plan.Identity.Link
	l.watch("pod interface", l.uplinkChanged, func(ctx context.Context) (<-chan podnet.LinkState, error) { return podnet.WatchIndex(ctx, link) })
	l.watchNetwork(link)
}

// sendLinks sends the state to the current switch, which starts with an uplink that is up.
func (l *loop) sendLinks() {
	_ = l.current.send(grant.Message{GuestState: &grant.GuestState{Absent: l.links.guestAbsent}})
	if l.links.uplinkDown {
		l.sendUplink()
	}
	l.sendNetwork()
}

func (l *loop) sendUplink() {
	_ = l.current.send(grant.Message{UplinkState: &grant.UplinkState{Down: l.links.uplinkDown}})
}

// watch follows a device of this namespace. The kernel side of a tap has a carrier while the hypervisor has the other side open. A tap
// whose other side podswitch has open has no such device in this namespace; its port detects the loss.
func (l *loop) watch(what string, changed func(podnet.LinkState), watch func(context.Context) (<-chan podnet.LinkState, error)) {
	resources := l.resources
	states, err := watch(resources.ctx)
	if err != nil {
		l.handle(failed, fmt.Errorf("watch the %s: %w", what, err))
		return
	}
	go func() {
		for s := range states {
			l.do(func() {
				if l.resources == resources { // closed meanwhile otherwise
					changed(s)
				}
			})
		}
		if resources.ctx.Err() == nil {
			l.do(func() {
				if l.resources == resources {
					l.handle(failed, fmt.Errorf("watch the %s: the kernel has stopped sending changes", what))
				}
			})
		}
	}()
}

// guestChanged notes a report of the guest's device. A switch that does not run gets the state when it starts.
func (l *loop) guestChanged(s podnet.LinkState) {
	l.links.guestAbsent = !s.Present || !s.Carrier
	if l.current != nil && l.current.phase == phaseRunning {
		_ = l.current.send(grant.Message{GuestState: &grant.GuestState{Absent: l.links.guestAbsent}})
	}
}

// uplinkChanged notes a report of the pod interface.
func (l *loop) uplinkChanged(s podnet.LinkState) {
	down := !s.Up || !s.Carrier
	if down == l.links.uplinkDown || !s.Present { // the end of the interface is the end of the run
		return
	}
	l.links.uplinkDown = down
	if down {
		l.log.Warn("pod interface down", zap.Bool("up", s.Up), zap.Bool("carrier", s.Carrier))
	} else {
		l.log.Info("pod interface up")
	}
	if l.current != nil && l.current.phase == phaseRunning {
		l.sendUplink()
	}
}
