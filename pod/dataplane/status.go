package dataplane

import (
	"fmt"
	"time"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/vswitch"
)

// neighbourLimit bounds the neighbours in a status. The counts have all of them.
const neighbourLimit = 64

// status returns the state of IP mode.
func (d *delegation) status() control.Status {
	d.mu.Lock()
	holder := d.state.holder()
	d.mu.Unlock()
	status := *d.known.Load()
	status.Holder, status.Ports = holder.String(), statusOf(d.ports)
	status.Uplink = status.Ports[vswitch.PortUplink].State
	status.Ready = holder == vswitch.HolderGuest && status.Uplink == control.LinkUp
	status.Neighbours = listNeighbours(d.delegate.Neighbours(d.clock()))
	if lease, ok := d.leases.current(); ok {
		status.Lease = &control.Lease{MAC: vswitch.MAC(lease.MAC), HostName: lease.HostName, Expires: lease.Expires}
	}
	return status
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
