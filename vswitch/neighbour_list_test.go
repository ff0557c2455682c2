package vswitch_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"net/netip"

	"github.com/podswitch/podswitch/vswitch"
)

// TestNeighbours checks the state of each kind of next hop.
func TestNeighbours(t *testing.T) {
	s := scriptOf(t, "delegate\npermanent 10.244.1.2 02:..:02")
	r := newRun(s)
	r.input(vswitch.PortUplink, hello(vswitch.Neighbour{Addr: netip.MustParseAddr("10.244.1.3"), MAC: vswitch.MAC{2, 0, 0, 0, 0, 3}}, s.delegate), 0)
	r.input(vswitch.PortUplink, hello(vswitch.Neighbour{Addr: netip.MustParseAddr("10.244.1.4"), MAC: vswitch.MAC{2, 0, 0, 0, 0, 4}}, s.delegate), 30*time.Second)
	r.input(vswitch.PortGuest, newWords("guest > router ip 10.244.1.7 > 10.244.1.5 udp 1 > 2", s.names).frame(), 30*time.Second)
	r.input(vswitch.PortGuest, newWords("guest > router ip 10.244.1.7 > 10.244.1.3 udp 1 > 2", s.names).frame(), 31*time.Second) // asks again
	var got []vswitch.NeighbourState
	for _, n := range r.delegate.Neighbours(31 * time.Second) {
		if n.Addr != netip.MustParseAddr("10.244.1.1") { // the gateway of newRun
			got = append(got, n)
		}
	}
	want := []vswitch.NeighbourState{
		{Addr: netip.MustParseAddr("10.244.1.2"), MAC: vswitch.MAC{2, 0, 0, 0, 0, 2}, State: vswitch.NeighbourPermanent},
		{Addr: netip.MustParseAddr("10.244.1.3"), MAC: vswitch.MAC{2, 0, 0, 0, 0, 3}, State: vswitch.NeighbourStale, Age: 31 * time.Second},
		{Addr: netip.MustParseAddr("10.244.1.4"), MAC: vswitch.MAC{2, 0, 0, 0, 0, 4}, State: vswitch.NeighbourReachable, Age: time.Second},
		{Addr: netip.MustParseAddr("10.244.1.5"), State: vswitch.NeighbourIncomplete},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, vswitch.MAC{})); diff != "" {
		t.Error(diff)
	}
}
