package dataplane

import (
	"net/netip"
	"testing"
	"time"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/vswitch"
)

// TestStatusOfLinks checks the state of the ports, of the uplink, and whether the guest is ready, for each state of the devices.
func TestStatusOfLinks(t *testing.T) {
	for name, c := range map[string]struct {
		prepare       func(guest, uplink *link)
		guest, uplink string
		isReady       bool
	}{
		"all is up":                    {func(_, _ *link) {}, control.LinkUp, control.LinkUp, true},
		"the hypervisor is absent":     {func(guest, _ *link) { guest.isAlone.Store(true) }, control.LinkNoHypervisor, control.LinkUp, true},
		"the guest's device is absent": {func(guest, _ *link) { guest.isLost.Store(true) }, control.LinkDown, control.LinkUp, true},
		"the uplink is down":           {func(_, uplink *link) { uplink.isLost.Store(true) }, control.LinkUp, control.LinkDown, false},
		"the uplink's peer is down":    {func(_, uplink *link) { uplink.noCarrier.Store(true) }, control.LinkUp, control.LinkDown, false},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Second
			d, _ := observed(t, &now)
			c.prepare(d.ports[vswitch.PortGuest].link, d.ports[vswitch.PortUplink].link)
			d.addresses[0].apply(taken, vswitch.MAC{})
			if d.status().Ready {
				t.Error("ready before a guest has the address")
			}
			d.addresses[0].apply(use, firstMAC)
			s := d.status()
			if s.Ports[vswitch.PortGuest].State != c.guest || s.Uplink != c.uplink || s.Ready != c.isReady {
				t.Errorf("guest %s, uplink %s, ready %t; want %s, %s, %t", s.Ports[vswitch.PortGuest].State, s.Uplink, s.Ready, c.guest, c.uplink, c.isReady)
			}
		})
	}
}

// TestStatusOfNeighbours checks that the list is bounded and the counts are not.
func TestStatusOfNeighbours(t *testing.T) {
	var all []vswitch.NeighbourState
	for i := range 100 {
		all = append(all, vswitch.NeighbourState{Addr: netip.AddrFrom4([4]byte{10, 244, 1, byte(i)}), State: vswitch.NeighbourStale})
	}
	if n := listNeighbours(all); n.Counts[vswitch.NeighbourStale] != 100 || len(n.List) != neighbourLimit {
		t.Errorf("counts %v, %d in the list", n.Counts, len(n.List))
	}
}

// TestStatusOfARun checks the state of a switch as the control socket has it: it changes with the keeper's messages, and a datagram
// socket is up without a peer.
func TestStatusOfARun(t *testing.T) {
	for name, d := range map[string]*pod{"delegation": newPod(t, delegatePlan(t)), "learning switch": newPod(t, nil)} {
		t.Run(name, func(t *testing.T) {
			k := d.start(false, nil)
			k.reachWork(nil)
			want := func(guest, uplink string) {
				t.Helper()
				var s control.Status
				if !eventually(func() bool {
					err := control.Get(t.Context(), d.path("control"), control.StatusPath, &s)
					return err == nil && s.Version == "test" && s.Ports[0].State == guest && s.Ports[1].State == uplink
				}) {
					t.Fatalf("version %q, ports %+v; want %s and %s", s.Version, s.Ports, guest, uplink)
				}
				if (s.Neighbours == nil) != (d.plan == nil) || s.Settings == nil {
					t.Errorf("neighbours %+v, settings %+v", s.Neighbours, s.Settings)
				}
			}
			want(control.LinkUp, control.LinkUp)
			k.send(grant.Message{GuestState: &grant.GuestState{Absent: true}})
			k.send(grant.Message{UplinkState: &grant.UplinkState{Down: true}})
			want(control.LinkNoHypervisor, control.LinkDown)
			k.send(grant.Message{GuestState: &grant.GuestState{}})
			k.send(grant.Message{UplinkState: &grant.UplinkState{}})
			want(control.LinkUp, control.LinkUp)
			k.stop()
		})
	}
}
