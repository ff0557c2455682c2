package dataplane

import (
	"bytes"
	"encoding/binary"
	"maps"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// TestChanged checks that a switch adopts a change of the pod's network, in both modes, and ends when the keeper changes the mode.
func TestChanged(t *testing.T) {
	bridge := delegatePlan(t)
	bridge.Method, bridge.KeptPorts = "bridge", nil
	for name, p := range map[string]*plan.Plan{"delegation": delegatePlan(t), "bridge": bridge} {
		t.Run(name, func(t *testing.T) {
			d := newPod(t, p)
			k := d.start(false, nil)
			k.reachWork(nil)
			changed := *p
			id := *p.Identity
			id.Link.MTU, id.Link.MAC = 1300, podnet.MAC{2, 0, 0, 0, 0, 9}
			changed.Identity = &id
			k.send(grant.Message{Changed: &grant.Changed{Forwarder: changed.Wire(), Refused: []string{"a change"}}})
			var s control.Status
			if !eventually(func() bool {
				err := control.Get(t.Context(), d.path("control"), control.StatusPath, &s)
				return err == nil && s.MTU == 1300 && s.WireMAC == vswitch.MAC(id.Link.MAC) && len(s.Refused) == 1
			}) {
				t.Errorf("status %+v", s)
			}
			k.send(grant.Message{Changed: &grant.Changed{Forwarder: grant.Forwarder{}}})
			k.expect("fault")
			k.expectEnd("connection method")
		})
	}
}

// TestChangesOutliveAFailedTakeover checks that a switch which works again after a takeover has failed has the changes that it was told before. The
// keeper tells it each one once.
func TestChangesOutliveAFailedTakeover(t *testing.T) {
	bridge := delegatePlan(t)
	bridge.Method, bridge.KeptPorts = "bridge", nil
	for name, p := range map[string]*plan.Plan{"delegation": delegatePlan(t), "bridge": bridge} {
		t.Run(name, func(t *testing.T) {
			d := newPod(t, p)
			k := d.start(false, nil)
			k.reachWork(nil)
			changed, id := *p, *p.Identity
			id.Link.MTU, id.Link.MAC = 1300, podnet.MAC{2, 0, 0, 0, 0, 9}
			changed.Identity = &id
			k.send(grant.Message{Changed: &grant.Changed{Forwarder: changed.Wire(), Refused: []string{"a change"}}})
			learned := k.yield()
			k.sendPorts()
			k.send(grant.Message{Begin: &grant.Begin{Snapshot: learned}})
			k.expect("started")
			var s control.Status
			if !eventually(func() bool { return control.Get(t.Context(), d.path("control"), control.StatusPath, &s) == nil }) {
				t.Fatal("no status")
			}
			if s.MTU != 1300 || s.WireMAC != vswitch.MAC(id.Link.MAC) || len(s.Refused) != 1 {
				t.Errorf("status %+v", s)
			}
			k.stop()
		})
	}
}

// TestChangedMACMayBeTheGuests checks that the guest can have a MAC that the pod interface had before.
func TestChangedMACMayBeTheGuests(t *testing.T) {
	p := delegatePlan(t)
	p.Method, p.KeptPorts = "bridge", nil
	k := newPod(t, p).start(false, nil)
	k.reachReady()
	b, err := newBridging(&session{}, k.grant(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	first, id := vswitch.MAC(p.Identity.Link.MAC), *p.Identity
	id.Link.MAC = podnet.MAC{2, 0, 0, 0, 0, 9}
	p.Identity = &id
	if err := b.change(&grant.Changed{Forwarder: p.Wire()}); err != nil {
		t.Fatal(err)
	}
	out := vswitch.NewOut(2, new(vswitch.Counters))
	b.bridge.Forward(vswitch.PortGuest, []vswitch.Frame{{Data: announcement(first)}}, 0, out)
	got := map[vswitch.MAC]vswitch.Station{}
	for _, s := range b.bridge.Stations(0) {
		got[s.MAC] = s
	}
	want := map[vswitch.MAC]vswitch.Station{first: {MAC: first, Port: vswitch.PortGuest},
		vswitch.MAC(id.Link.MAC): {MAC: vswitch.MAC(id.Link.MAC), Port: vswitch.PortUplink, Static: true}}
	if !maps.Equal(got, want) {
		t.Errorf("stations %v, want %v", got, want)
	}
}

// TestChangedForwarder checks that the forwarder and the lease have the values of the change.
func TestChangedForwarder(t *testing.T) {
	p := delegatePlan(t)
	k := newPod(t, p).start(false, nil)
	k.reachReady()
	d, err := newDelegation(&session{}, k.grant(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	offer := *p.Offer
	offer.MTU, offer.Expires = 1300, time.Now().Add(5000*time.Second)
	made, _, err := dhcpsrv.NewOffer(offer)
	if err != nil {
		t.Fatal(err)
	}
	p.Offer = made
	p.Identity.Neighbours = []podnet.Neighbour{{Address: netip.MustParseAddr("10.244.1.9"), MAC: podnet.MAC{2, 9}, State: 0x80}}
	if err := d.change(&grant.Changed{Forwarder: p.Wire()}); err != nil {
		t.Fatal(err)
	}
	if o := d.leases.offer; o.MTU != 1300 || time.Until(o.Expires) < 4900*time.Second {
		t.Errorf("the offer is %+v", o)
	}
	if n := d.delegate.Neighbours(0); len(n) != 1 || n[0].State != vswitch.NeighbourPermanent {
		t.Errorf("neighbours %v", n)
	}
}

// A sink is a port that keeps what is transmitted.
type sink struct {
	vswitch.Port
	frames [][]byte
}

func (s *sink) Transmit(batch []vswitch.Frame) {
	for _, f := range batch {
		s.frames = append(s.frames, bytes.Clone(f.Data))
	}
}

// TestTooBigIsAnswered checks that frames which the uplink has refused get an ICMP error when the keeper tells the lower MTU, the newest ones if
// there are many.
func TestTooBigIsAnswered(t *testing.T) {
	p := delegatePlan(t)
	everywhere := netip.MustParsePrefix("0.0.0.0/0")
	p.Identity.Routes = []podnet.Route{{Dst: everywhere, Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST, Link: 2, Gateway: netip.MustParseAddr("10.244.1.1")}}
	k := newPod(t, p).start(false, nil)
	k.reachReady()
	d, err := newDelegation(&session{}, k.grant(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	guest := &sink{}
	for range 4 {
		d.ports = append(d.ports, namedPort{Port: guest})
	}
	defer func() { d.ports = nil }()
	frame := make([]byte, 14+1400)
	copy(frame[12:], []byte{8, 0, 0x45, 0, 0x05, 0x78, 0, 0, 0x40, 0, 64, 99, 0, 0, 10, 244, 1, 7, 8, 8, 8, 8})
	binary.BigEndian.PutUint16(frame[24:], vnet.Checksum(frame[14:34], 0))
	refused := d.devices[vswitch.PortUplink]
	for range tooBigLimit + 3 {
		refused.TooBig(frame)
	}
	d.answerTooBig()
	if len(guest.frames) != 0 {
		t.Errorf("%d frames before the MTU is known", len(guest.frames))
	}
	id := *p.Identity
	id.Link.MTU = 1300
	p.Identity = &id
	if err := d.change(&grant.Changed{Forwarder: p.Wire()}); err != nil {
		t.Fatal(err)
	}
	<-d.tooBig.wake
	d.answerTooBig()
	if len(guest.frames) != tooBigLimit || !bytes.Equal(guest.frames[0][34:36], []byte{3, 4}) || binary.BigEndian.Uint16(guest.frames[0][40:]) != 1300 {
		t.Errorf("%d frames: % x", len(guest.frames), guest.frames)
	}
	if d.answerTooBig(); len(guest.frames) != tooBigLimit {
		t.Error("a frame is answered twice")
	}
}
