package keeper

import (
	"errors"
	"fmt"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
)

// A guestState is what the kernel reports of the guest's device. The zero value is for new resources.
type guestState struct {
	watched bool // reports arrive, or there are none for this kind of device
	absent  bool // the device does not exist, or the hypervisor does not hold it open
}

// reportGuest sends Guest to the switch that has started. For the first switch of the resources it starts the watch, whose first
// report follows at once.
func (l *loop) reportGuest() {
	l.endHold()
	if l.guest.watched {
		l.sendGuest()
		return
	}
	l.guest.watched = true
	if p := l.resources.plan; p != nil && l.resources.ports[0].spec.Kind == hypervisor.KindPacket {
		l.watchGuest()
	}
}

// sendGuest sends Guest to the current switch.
func (l *loop) sendGuest() {
	_ = l.current.send(grant.Message{Guest: &grant.Guest{Absent: l.guest.absent}})
}

// watchGuest follows the kernel side of the guest's device, which has a carrier while the hypervisor holds the other side. A tap
// whose other side podswitch holds has no such device in this namespace; its port detects the loss.
func (l *loop) watchGuest() {
	resources := l.resources
	states, err := podnet.Watch(resources.ctx, resources.ports[0].spec.Name)
	if err != nil {
		l.handle(end, fmt.Errorf("watch the guest's device: %w", err))
		return
	}
	go func() {
		for s := range states {
			l.do(func() { l.guestChanged(resources, !s.Present || !s.Carrier) })
		}
		if resources.ctx.Err() == nil {
			l.do(func() {
				if l.resources == resources {
					l.handle(end, errors.New("watch the guest's device: the kernel has stopped sending changes"))
				}
			})
		}
	}()
}

// guestChanged notes a report for resources that may be closed already. A switch that does not run gets the state when it starts.
func (l *loop) guestChanged(r *resources, absent bool) {
	if l.resources != r {
		return
	}
	l.guest.absent = absent
	if l.current != nil && l.current.phase == phaseRunning {
		l.sendGuest()
	}
}
