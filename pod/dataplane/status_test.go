package dataplane

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/podnet"
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

// TestStatusOfIPv6 checks what the status of a dual-stack pod, and of a pod with IPv6 alone, has of each family.
func TestStatusOfIPv6(t *testing.T) {
	now := time.Second
	p := dualPlan(t)
	p.Identity.Routes = append(p.Identity.Routes, podnet.Route{Dst: netip.MustParsePrefix("::/0"), Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST,
		Link: p.Identity.Link.Index, Gateway: netip.MustParseAddr("fe80::1")})
	d, _ := observedWith(t, &now, p)
	d.applyAll(taken)
	d.addresses[0].apply(ack, firstMAC)
	s := d.status()
	want := control.FamilyStatus{Holder: "switch", Address: "fd00:10:244:1::7/64", Gateway: "fe80::1", Router: routerMAC.LinkLocal().String(), MTU: 1450}
	if s.Ready || s.Holder != "guest" || *s.IPv6 != want {
		t.Errorf("with a guest of IPv4 alone: ready %t, holder %s, IPv6 %+v; want %+v", s.Ready, s.Holder, *s.IPv6, want)
	}
	d.addresses[1].apply(ack, firstMAC)
	expires := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	d.leasesIPv6.lease = dhcpsrv.Lease6{MAC: dhcpsrv.MAC(firstMAC), DUID: dhcpsrv.DUID{0, 3, 0, 1}, HostName: "vm", Expires: expires}
	s = d.status()
	if lease := (control.Lease{MAC: firstMAC, HostName: "vm", Expires: expires, DUID: "LL"}); s.IPv6.Holder != "guest" || s.IPv6.Lease == nil || *s.IPv6.Lease != lease || s.Lease != nil {
		t.Errorf("with a guest: %+v, lease %+v, lease of IPv4 %+v", *s.IPv6, s.IPv6.Lease, s.Lease)
	}

	p.Address, p.Offer, p.Identity = netip.Prefix{}, nil, p.Identity.Only(podnet.IPv6)
	d, _ = observedWith(t, &now, p)
	d.applyAll(taken)
	if s := d.status(); s.Holder != "switch" || s.Address != "" || s.IPv6 == nil || s.IPv6.Holder != "switch" {
		t.Errorf("with IPv6 alone: holder %q, address %q, IPv6 %+v", s.Holder, s.Address, s.IPv6)
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

// TestGuestStateOfASocket: a report of the keeper does not change what a socket knows of its hypervisor.
func TestGuestStateOfASocket(t *testing.T) {
	d := newPod(t, delegatePlan(t))
	k := d.start(false, nil)
	k.reachWork(nil)
	k.send(grant.Message{GuestState: &grant.GuestState{Absent: true}})
	k.send(grant.Message{UplinkState: &grant.UplinkState{Down: true}})
	var s control.Status
	if !eventually(func() bool {
		return control.Get(t.Context(), d.path("control"), control.StatusPath, &s) == nil && s.Ports[1].State == control.LinkDown
	}) || s.Ports[0].State != control.LinkUp {
		t.Errorf("%+v", s.Ports)
	}
	k.stop()
}

// TestStatusOfARun checks the state of a switch as the control socket has it: it changes with the keeper's messages, and a datagram
// socket is up without a peer.
func TestStatusOfARun(t *testing.T) {
	for name, d := range map[string]*pod{"delegation": newPod(t, delegatePlan(t)), "learning switch": newPod(t, nil)} {
		t.Run(name, func(t *testing.T) {
			d.isWatched = true
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
