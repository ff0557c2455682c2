package dataplane

import (
	"cmp"
	"fmt"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/vswitch"
)

// neighbourLimit bounds the neighbours in a status. The counts have all of them.
const neighbourLimit = 64

// status returns the state of IP mode.
func (d *delegation) status() control.Status {
	status := *d.known.Load()
	status.Ports = statusOf(d.ports)
	status.Uplink = status.Ports[vswitch.PortUplink].State
	status.Ready = d.hasGuest() && status.Uplink == control.LinkUp
	status.Neighbours = listNeighbours(d.delegate.Neighbours(d.clock()))
	for _, a := range d.addresses {
		if a.address.Is4() {
			status.Holder, status.Lease = a.holder().String(), d.leases.status()
			continue
		}
		v6 := *status.IPv6
		v6.Holder, v6.Lease = a.holder().String(), d.leasesIPv6.status()
		status.IPv6 = &v6
		status.Holder = cmp.Or(status.Holder, v6.Holder)
	}
	return status
}

// status returns the lease; nil if there is none.
func (l *leases) status() *control.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease.MAC == (dhcpsrv.MAC{}) {
		return nil
	}
	return &control.Lease{MAC: vswitch.MAC(l.lease.MAC), HostName: l.lease.HostName, Expires: l.lease.Expires}
}

// status returns the lease; nil if there is none.
func (l *leasesIPv6) status() *control.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease.MAC == (dhcpsrv.MAC{}) {
		return nil
	}
	return &control.Lease{MAC: vswitch.MAC(l.lease.MAC), HostName: l.lease.HostName, Expires: l.lease.Expires, DUID: l.lease.DUID.Kind()}
}

// status returns the state of Ethernet mode, or of a plain learning switch.
func (b *bridging) status() control.Status {
	status := *b.known.Load()
	status.Holder, status.Ports = vswitch.HolderKernel.String(), statusOf(b.ports)
	status.Ready = true
	for _, p := range status.Ports {
		status.Ready = status.Ready && p.State == control.LinkUp
	}
	if b.hasPod {
		status.Uplink = status.Ports[vswitch.PortUplink].State
	}
	return status
}

// delegateSettings returns the settings of IP mode.
func delegateSettings(d *grant.Delegate, rules []vswitch.Rule, pinned vswitch.MAC) *control.Settings {
	s := &control.Settings{Method: control.MethodDelegate, PinnedMAC: pinned, Mute: d.Mute, Rules: rules, HoldAfter: time.Duration(d.HoldAfter)}
	for _, k := range d.Keep {
		text := fmt.Sprintf("%s/%d", k.Network, k.Port)
		if k.Proxy {
			text += ",proxy"
		}
		if k.Direct {
			text += ",from=client"
		}
		s.Keep = append(s.Keep, text)
	}
	return s
}

// listNeighbours counts neighbours by state, and lists the first ones.
func listNeighbours(all []vswitch.NeighbourState) *control.Neighbours {
	n := &control.Neighbours{Counts: map[string]int{}, List: []control.Neighbour{}}
	for _, e := range all {
		n.Counts[e.State]++
		if len(n.List) < neighbourLimit {
			n.List = append(n.List, control.Neighbour{Address: e.Addr, MAC: e.MAC, State: e.State, Age: e.Age.Seconds()})
		}
	}
	return n
}
