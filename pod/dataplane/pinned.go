package dataplane

import (
	"slices"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// A takeover may pin another MAC than the previous switch did, or the first one. The snapshot then describes another guest, in
// part: that part is dropped, and the rest continues.

// applyPinnedMAC adapts the snapshot to the only MAC that the guest may have; the zero MAC: any. It returns the state of the address. A guest
// with another MAC does not hold the address any more, and the pinned one can get it as after a start.
func (a *addressState) applyPinnedMAC(st holderState, pinned vswitch.MAC) holderState {
	if pinned.IsZero() {
		return st
	}
	if a.Lease != nil && a.Lease.MAC != pinned {
		a.Lease, a.OwnerAbsent = nil, false
	}
	if vswitch.MAC(a.Delegate.GuestMAC) != pinned {
		st = waiting
		a.Delegate.GuestMAC, a.Delegate.LastUse, a.Delegate.Holder = handover.MAC(pinned), nil, st.holder().String()
	}
	return st
}

// dropStationsOfOthers drops the stations at the port of the pinned MAC, if there is one.
func dropStationsOfOthers(s *handover.Bridge, pinned vswitch.MAC, port int) {
	if pinned.IsZero() {
		return
	}
	s.Stations = slices.DeleteFunc(s.Stations, func(station handover.Station) bool {
		return station.Port == port && vswitch.MAC(station.MAC) != pinned
	})
}
