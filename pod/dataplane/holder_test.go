package dataplane

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// TestStates checks every state and event. An event that is not listed changes nothing.
func TestStates(t *testing.T) {
	moves := map[holderState]map[holderEvent]holderState{
		kernel:   {taken: waiting},
		waiting:  {ack: guest, use: guest, stop: kernel},
		released: {ack: guest, absenceExpired: waiting, grace: waiting, stop: kernel},
		guest:    {dhcpRelease: released, dhcpDecline: released, expire: waiting, absenceExpired: waiting, stop: kernel},
	}
	for s := range numStates {
		for e := range numEvents {
			want, listed := moves[s][e]
			if !listed {
				want = s
			}
			if got := s.next(e); got != want {
				t.Errorf("state %d, event %s: state %d, want %d", s, e, got, want)
			}
		}
	}
}

func TestHolders(t *testing.T) {
	for s, want := range map[holderState]vswitch.Holder{
		kernel: vswitch.HolderKernel, waiting: vswitch.HolderSwitch, released: vswitch.HolderSwitch, guest: vswitch.HolderGuest,
	} {
		if got := s.holder(); got != want {
			t.Errorf("state %d: %s, want %s", s, got, want)
		}
	}
}

// TestUseAfterRelease checks that a guest which gave the address up gets it back by using it: not at once, also not after a takeover,
// but after the time of grace, without a warning that no guest was there.
func TestUseAfterRelease(t *testing.T) {
	for _, gaveUp := range []holderEvent{dhcpRelease, dhcpDecline} {
		t.Run(gaveUp.String(), func(t *testing.T) {
			now := time.Second
			before, _ := observed(t, &now)
			before.addresses[0].apply(taken, vswitch.MAC{})
			before.addresses[0].apply(ack, firstMAC)
			before.addresses[0].apply(gaveUp, vswitch.MAC{})
			for range int(releaseGrace/time.Second) - 1 {
				now += time.Second
				useAfterTick(t, before, vswitch.HolderSwitch)
			}
			snap := before.snapshot()
			d, seen := observed(t, &now)
			if err := d.resume(&snap); err != nil {
				t.Fatal(err)
			}
			useAfterTick(t, d, vswitch.HolderSwitch)
			now += releaseGrace
			useAfterTick(t, d, vswitch.HolderGuest)
			now += warnAfter
			d.warnIfSilent()
			if n := seen.FilterMessageSnippet("no guest has").Len(); n > 0 {
				t.Error("a warning although a guest had the address")
			}
		})
	}
}

// useAfterTick lets the time work, then the guest uses the address; want is the holder afterwards.
func useAfterTick(t *testing.T, d *delegation, want vswitch.Holder) {
	t.Helper()
	d.addresses[0].endGrace()
	fromGuest(d, "10.244.1.7")
	if got := d.addresses[0].state.holder(); got != want {
		t.Fatalf("the %s holds the address, want the %s", got, want)
	}
}

// TestRefuse checks that the switch refuses TCP and UDP only after it has held the address for a while: a guest that runs, and is not known
// yet, must not lose its connections.
func TestRefuse(t *testing.T) {
	for _, before := range [][]holderEvent{{taken}, {taken, ack, absenceExpired}, {taken, ack, dhcpRelease}, {taken, use, expire}} {
		now := time.Hour
		d, _ := observed(t, &now)
		for _, e := range before {
			now += time.Hour
			d.addresses[0].refuse()
			d.addresses[0].apply(e, vswitch.MAC{})
		}
		for range 2 {
			d.addresses[0].refuse()
			if port := fromWire(d); port >= 0 {
				t.Errorf("%v: a packet went to port %d at once", before, port)
			}
			now += refuseAfter - 1
		}
		now += refuseAfter
		d.addresses[0].refuse()
		if port := fromWire(d); port != vswitch.PortPod {
			t.Errorf("%v: a packet went to port %d, want %d", before, port, vswitch.PortPod)
		}
		d.addresses[0].apply(ack, firstMAC)
		if port := fromWire(d); port != vswitch.PortGuest {
			t.Errorf("%v: a packet went to port %d with a guest, want %d", before, port, vswitch.PortGuest)
		}
	}
}

// fromWire passes a UDP packet of the wire to the forwarder, and returns the port where it leaves; -1: none.
func fromWire(d *delegation) (to int) {
	frame := []byte{2, 0xab, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0,
		10, 0, 0, 1, 10, 244, 1, 7, 0, 9, 0, 9, 0, 8, 0, 0}
	binary.BigEndian.PutUint16(frame[24:], vnet.Checksum(frame[14:34], 0))
	out := vswitch.NewOut(len(d.ports), d.ports[vswitch.PortUplink].Counters())
	d.delegate.Forward(vswitch.PortUplink, []vswitch.Frame{{Data: frame}}, d.clock(), out)
	to = -1
	out.Flush(func(port int, _ []vswitch.Frame) { to = port })
	return to
}
