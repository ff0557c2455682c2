package dataplane

import "github.com/podswitch/podswitch/vswitch"

// The pod address has exactly one holder. This is who it is, and what makes it change:
//
//	          take                 ack, use
//	kernel ─────────▶ waiting ─────────────────────▶ guest
//	   ▲                 ▲ ▲                          │ │
//	   │                 │ └──── expire, link down ◀──┘ │
//	   │ stop            │ link down                    │
//	   │ (from any)      │         release, decline     │
//	   └────────────── released ◀───────────────────────┘
//	                      └──────────── ack ──────────▶ guest
//
// waiting and released are both the switch. A guest that just goes on to use the address gets it without asking when the
// switch waits (podswitch was started anew, or the guest's link was down), but not after the guest gave it up: what still
// arrives then was on its way.
type state uint8

const (
	kernel state = iota
	waiting
	released
	guest
	numStates
)

// An event is what may change the holder.
type event uint8

const (
	take     event = iota // the address was taken off the pod interface
	ack                   // the DHCP server gave the guest the address
	use                   // the guest used the address without asking
	release               // the guest gave the address back
	decline               // the guest found the address in use
	expire                // the lease ran out
	linkDown              // the guest's link went down
	stop                  // podswitch ends
	numEvents
)

var eventNames = [numEvents]string{"take", "ack", "use", "release", "decline", "expire", "link down", "stop"}

func (e event) String() string { return eventNames[e] }

// next is the table of the drawing above; an event that is not in it changes nothing.
func (s state) next(e event) state {
	switch {
	case e == stop:
		return kernel
	case s == kernel && e == take:
		return waiting
	case s == waiting && (e == ack || e == use), s == released && e == ack:
		return guest
	case s == guest && (e == expire || e == linkDown), s == released && e == linkDown:
		return waiting
	case s == guest && (e == release || e == decline):
		return released
	}
	return s
}

// holder is how the rest of the world sees a state.
func (s state) holder() vswitch.Holder {
	switch s {
	case kernel:
		return vswitch.HolderKernel
	case guest:
		return vswitch.HolderGuest
	}
	return vswitch.HolderSwitch
}
