package dataplane

import (
	"fmt"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// A holderState is the holder of the pod address of one family, and whether the guest can become the holder without DHCP. While a
// switch runs, the address has exactly one holder:
//
//	          taken                ack, use
//	kernel ─────────▶ waiting ─────────────────────▶ guest
//	   ▲                 ▲ ▲                          │ │
//	   │                 │ └────── expire, absent ◀───┘ │
//	   │ stop            │ absent, grace                │
//	   │ (from any)      │         release, decline     │
//	   └────────────── released ◀───────────────────────┘
//	                      └──────────── ack ──────────▶ guest
//
// In the states waiting and released the switch is the holder. A guest that uses the address without a DHCP exchange becomes the
// holder in the state waiting: podswitch was restarted, or the guest's link was down. It does not in the state released: the guest has
// given the address up, and its remaining frames were sent before that. The state released lasts for releaseGrace: a guest that uses the
// address afterwards has configured it by hand, as after a change from DHCP to a static address.
type holderState uint8

const (
	kernel holderState = iota
	waiting
	released
	guest
	numStates
)

// A holderEvent can change the state.
type holderEvent uint8

const (
	taken          holderEvent = iota // the keeper took the address off the pod interface
	ack                               // the DHCP server acknowledged the guest's request
	use                               // the guest used the address while it was not the holder
	dhcpRelease                       // the guest released the address
	dhcpDecline                       // the guest found the address in use
	expire                            // the lease expired
	absenceExpired                    // the guest was absent for the hold time (--hold-after)
	grace                             // releaseGrace has passed since the guest gave the address up
	stop                              // the switch ends
	numEvents
)

var eventNames = [numEvents]string{"taken", "ack", "use", "release", "decline", "expire", "absent", "grace", "stop"}

func (e holderEvent) String() string { return eventNames[e] }

// next returns the state after e: the table of the drawing above. An event that is not drawn changes nothing.
func (st holderState) next(e holderEvent) holderState {
	switch {
	case e == stop:
		return kernel
	case st == kernel && e == taken:
		return waiting
	case st == waiting && (e == ack || e == use), st == released && e == ack:
		return guest
	case st == guest && (e == expire || e == absenceExpired), st == released && (e == absenceExpired || e == grace):
		return waiting
	case st == guest && (e == dhcpRelease || e == dhcpDecline):
		return released
	}
	return st
}

// holder returns the holder of the address in the state.
func (st holderState) holder() vswitch.Holder {
	switch st {
	case kernel:
		return vswitch.HolderKernel
	case guest:
		return vswitch.HolderGuest
	}
	return vswitch.HolderSwitch
}

// String returns the name of the state in snapshots.
func (st holderState) String() string { return stateNames[st] }

var stateNames = [numStates]string{"kernel", "waiting", "released", "guest"}

// parseState is the inverse of String.
func parseState(name string) (holderState, error) {
	for i, n := range stateNames {
		if n == name {
			return holderState(i), nil
		}
	}
	return kernel, fmt.Errorf("state %q of the pod address: want one of %q", name, stateNames)
}

// releaseGrace is how long frames that a guest sent before it gave the address up, or while it removes it, may take to arrive.
const releaseGrace = 5 * time.Second

// endGrace ends the state released after releaseGrace. It is called once a second.
func (a *podAddress) endGrace() {
	d := a.delegation
	d.mu.Lock()
	over := a.state == released && d.clock()-a.releasedAt >= releaseGrace
	d.mu.Unlock()
	if over {
		d.hasWarned = true // a guest had the address
		a.apply(grace, vswitch.MAC{})
	}
}

// refuseAfter is how long the switch holds the address in silence. A guest that runs, and whose connections a refusal would end, shows
// itself within that time, by its frames or because the switch probes it once a second: after a restart of podswitch, for example.
const refuseAfter = 5 * time.Second

// refuse makes the switch refuse TCP and UDP once it has held the address for refuseAfter. It is called once a second.
func (a *podAddress) refuse() {
	d := a.delegation
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.state.holder() == vswitch.HolderSwitch && d.clock()-a.heldSince >= refuseAfter {
		a.family.ExpectGuest(false)
	}
}
