package dataplane

import (
	"slices"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// A takeover may pin another MAC than the previous switch did, or the first one. The snapshot then describes another guest, in
// part: that part is dropped, and the rest continues.

// applyPinnedMAC adapts the state of an address to the only MAC that the guest may have; the zero MAC: any. It returns who holds the address. A
// guest with another MAC does not hold it any more, and the pinned one can get it as after a start.
func (f *familyState) applyPinnedMAC(forwarder *handover.Family, st holderState, pinned vswitch.MAC) holderState {
	if pinned.IsZero() {
		return st
	}
	if f.Lease != nil && f.Lease.MAC != pinned {
		f.Lease, f.OwnerAbsent = nil, false
	}
	if vswitch.MAC(forwarder.GuestMAC) != pinned {
		st = waiting
		forwarder.GuestMAC, forwarder.LastUse, forwarder.Holder = handover.MAC(pinned), nil, st.holder().String()
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
