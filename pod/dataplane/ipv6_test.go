package dataplane

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"go.uber.org/zap"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// podIPv6 is the pod's IPv6 address in the tests.
var podIPv6 = netip.MustParseAddr("fd00:10:244:1::7")

// dualPlan is delegatePlan for a dual-stack pod.
func dualPlan(t testing.TB) *plan.Plan {
	t.Helper()
	p := delegatePlan(t)
	p.AddressIPv6 = netip.PrefixFrom(podIPv6, 64)
	offer, _, err := dhcpsrv.NewOffer6(dhcpsrv.Offer6{Address: podIPv6, RouterMAC: dhcpsrv.MAC(routerMAC), MTU: 1450, Lease: 24 * time.Hour,
		Routes: []netip.Prefix{netip.MustParsePrefix("::/0")}})
	if err != nil {
		t.Fatal(err)
	}
	p.OfferIPv6 = offer
	p.Identity.Addresses = append(p.Identity.Addresses, podnet.Address{Prefix: p.AddressIPv6})
	return p
}

// isAdvertisement reports whether a frame is a router advertisement.
func isAdvertisement(frame []byte) bool {
	return len(frame) > 54 && binary.BigEndian.Uint16(frame[12:]) == 0x86dd && frame[20] == 58 && frame[54] == 134
}

// advertisements returns the number of router advertisements that the forwarder sends with a tick.
func advertisements(d *delegation) (n int) {
	out := vswitch.NewOut(len(d.ports), d.ports[vswitch.PortGuest].Counters())
	d.delegate.Tick(d.clock(), out)
	out.Flush(func(port int, frames []vswitch.Frame) {
		for _, f := range frames {
			if port == vswitch.PortGuest && isAdvertisement(f.Data) {
				n++
			}
		}
	})
	return n
}

// TestAdvertisementForADevice checks that the guest gets a router advertisement when its device comes, and that none is sent in vain.
func TestAdvertisementForADevice(t *testing.T) {
	now := time.Second
	d, _ := observedWith(t, &now, dualPlan(t))
	for _, step := range []struct {
		what string
		do   func()
		want int
	}{
		{"at the start", func() {}, 1},
		{"a second later", func() {}, 0},
		{"without a device", d.devices[vswitch.PortGuest].onLost, 0},
		{"when the device has come back", d.devices[vswitch.PortGuest].onBack, 1},
		{"a second after that", func() {}, 0},
		{"when the uplink has come back", d.devices[vswitch.PortUplink].onBack, 0},
	} {
		step.do()
		if got := advertisements(d); got != step.want {
			t.Errorf("%s: %d advertisements, want %d", step.what, got, step.want)
		}
		now += time.Second
	}
}

// TestAdvertisementOfATakeover checks that each switch sends an advertisement when it begins, and none when it ends in order: the guest
// keeps its route.
func TestAdvertisementOfATakeover(t *testing.T) {
	d := newPod(t, dualPlan(t))
	await := func(what string) {
		t.Helper()
		_ = d.ends[0].SetReadDeadline(time.Now().Add(timeout))
		for frame := make([]byte, 1514); ; {
			n, err := d.ends[0].Read(frame)
			if err != nil {
				t.Fatalf("%s: no advertisement: %v", what, err)
			}
			if !isAdvertisement(frame[:n]) {
				continue
			}
			if lifetime := binary.BigEndian.Uint16(frame[60:]); lifetime != 9000 {
				t.Errorf("%s: the router's lifetime is %d s", what, lifetime)
			}
			return
		}
	}
	first := d.start(false, nil)
	first.reachWork(nil)
	await("the first switch")
	learned := first.yield()
	next := d.start(true, nil)
	next.reachWork(learned)
	first.Close()
	first.expectEnd("")
	await("the next switch")
	next.stop()
	_ = d.ends[0].SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	for frame := make([]byte, 1514); ; {
		n, err := d.ends[0].Read(frame)
		if err != nil {
			break
		}
		if isAdvertisement(frame[:n]) {
			t.Error("an advertisement at the end")
		}
	}
}

// A lease6Test is leasesIPv6 with a clock that the test sets.
type lease6Test struct {
	*leasesIPv6
	t      *testing.T
	time   time.Duration
	alive  map[vswitch.MAC]time.Duration // by MAC: the last use of the address
	probes []vswitch.MAC
	events []holderEvent
}

func newLease6Test(t *testing.T) *lease6Test {
	lt := &lease6Test{t: t, time: time.Second, alive: map[vswitch.MAC]time.Duration{}}
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	lt.leasesIPv6 = &leasesIPv6{offer: dualPlan(t).OfferIPv6, ownership: ownership{
		log:    newGuestLog(zap.NewNop()),
		now:    func() time.Time { return epoch.Add(lt.time) },
		apply:  func(e holderEvent, _ vswitch.MAC) { lt.events = append(lt.events, e) },
		change: func() {},
		prober: prober{
			clock:   func() time.Duration { return lt.time },
			lastUse: func(mac vswitch.MAC) (time.Duration, bool) { at, ok := lt.alive[mac]; return at, ok },
			send:    func(mac vswitch.MAC) { lt.probes = append(lt.probes, mac) },
		},
	}}
	return lt
}

// exchange passes a message of a client to the leases, and returns the type of the reply, or 0. The client has a DUID of its own; 0 is no
// client's.
func (lt *lease6Test) exchange(mac vswitch.MAC, client byte, kind dhcpv6.MessageType, iaids ...byte) dhcpv6.MessageType {
	lt.t.Helper()
	message := []byte{byte(kind), 1, 2, 3, 0, 1, 0, 4, 0, 3, 0, client}
	if kind != dhcpv6.MessageTypeSolicit {
		message = append(message, 0, 2, 0, 10, 0, 3, 0, 1)
		message = append(message, routerMAC[:]...)
	}
	for _, id := range iaids {
		message = append(message, 0, 3, 0, 40, 0, 0, 0, id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 24)
		message = append(append(message, podIPv6.AsSlice()...), make([]byte, 8)...)
	}
	reply := lt.handle(message, mac.LinkLocal(), netip.MustParseAddr("ff02::1:2"), mac)
	if reply == nil {
		return 0
	}
	return dhcpv6.MessageType(reply[0])
}

func (lt *lease6Test) acquire(mac vswitch.MAC, client byte, iaids ...byte) {
	lt.t.Helper()
	if got := lt.exchange(mac, client, dhcpv6.MessageTypeRequest, iaids...); got != dhcpv6.MessageTypeReply {
		lt.t.Fatalf("%s: REQUEST got %s", mac, got)
	}
}

// TestOtherMACOfIPv6 checks that another MAC gets the address only after the first one has answered neither of two probes and sent no
// message, or after its device was absent.
func TestOtherMACOfIPv6(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(lt *lease6Test) // to the probes
		moves  bool
	}{
		{"no answer", func(*lease6Test) {}, true},
		{"answers", func(lt *lease6Test) { lt.alive[firstMAC] = lt.time }, false},
		{"asks by DHCPv6", func(lt *lease6Test) { lt.exchange(firstMAC, 2, dhcpv6.MessageTypeSolicit, 1) }, false},
		{"is absent", func(lt *lease6Test) { lt.alive[firstMAC] = lt.time; lt.noteAbsence() }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			lt := newLease6Test(t)
			lt.acquire(firstMAC, 1, 1)
			lt.time += time.Minute
			for range probeCount {
				for range 3 { // probes are paced
					if got := lt.exchange(secondMAC, 1, dhcpv6.MessageTypeSolicit, 1); got != 0 {
						t.Fatalf("answered %s before the first MAC was probed", got)
					}
				}
				lt.time += probeWait
			}
			if want := []vswitch.MAC{firstMAC, firstMAC}; !slices.Equal(lt.probes, want) {
				t.Fatalf("probes %v", lt.probes)
			}
			c.answer(lt)
			lt.time += time.Millisecond
			if got := lt.exchange(secondMAC, 1, dhcpv6.MessageTypeSolicit, 1) == dhcpv6.MessageTypeAdvertise; got != c.moves {
				t.Errorf("the second MAC gets an offer: %v", got)
			}
		})
	}
}

// TestHolderByDHCPv6 checks the events of the messages: the lease ends with its last IA, whichever client of one MAC has asked, and when it
// expires.
func TestHolderByDHCPv6(t *testing.T) {
	lt := newLease6Test(t)
	want := func(events ...holderEvent) {
		t.Helper()
		if !slices.Equal(lt.events, events) {
			t.Errorf("events %v, want %v", lt.events, events)
		}
		lt.events = nil
	}
	lt.acquire(firstMAC, 1, 1, 2)
	want(ack)
	lt.exchange(firstMAC, 1, dhcpv6.MessageTypeRelease, 1)
	want()
	lt.acquire(firstMAC, 2, 1) // the operating system after its firmware
	want(ack)
	lt.exchange(firstMAC, 1, dhcpv6.MessageTypeRelease, 2)
	want()
	lt.exchange(firstMAC, 2, dhcpv6.MessageTypeDecline, 1)
	want(dhcpDecline)
	lt.acquire(firstMAC, 2, 1)
	lt.exchange(firstMAC, 2, dhcpv6.MessageTypeRelease, 1)
	want(ack, dhcpRelease)
	lt.acquire(firstMAC, 2, 1)
	lt.time += 24*time.Hour - time.Second
	lt.expire()
	want(ack)
	lt.time += 2 * time.Second
	lt.expire()
	want(expire)
}

// TestFamiliesApart checks that an event of one family changes the holder of that address alone, and what is common changes both: a lease
// or a use of IPv6 leaves IPv4 with the switch, and an absence ends both.
func TestFamiliesApart(t *testing.T) {
	now := time.Second
	d, _ := observedWith(t, &now, dualPlan(t))
	want := func(what string, ipv4, ipv6 vswitch.Holder) {
		t.Helper()
		if got4, got6 := d.addresses[0].holder(), d.addresses[1].holder(); got4 != ipv4 || got6 != ipv6 {
			t.Errorf("%s: %v and %v, want %v and %v", what, got4, got6, ipv4, ipv6)
		}
	}
	d.applyAll(taken)
	want("taken", vswitch.HolderSwitch, vswitch.HolderSwitch)
	d.applyUse(d.delegate.IPv6)
	want("IPv6 used", vswitch.HolderSwitch, vswitch.HolderGuest)
	d.addresses[0].apply(ack, firstMAC)
	want("IPv4 leased", vswitch.HolderGuest, vswitch.HolderGuest)
	if !d.hasGuest() {
		t.Error("both families are the guest's")
	}
	d.addresses[1].apply(dhcpRelease, vswitch.MAC{})
	want("IPv6 released", vswitch.HolderGuest, vswitch.HolderSwitch)
	d.addresses[1].apply(ack, firstMAC)
	d.setGuestAbsent(true)
	now += time.Hour
	d.endAbsence()
	want("absent", vswitch.HolderSwitch, vswitch.HolderSwitch)
	d.applyAll(stop)
	want("stopped", vswitch.HolderKernel, vswitch.HolderKernel)
}

// TestProbesOfIPv6 checks that the switch asks the guest's port for the IPv6 address by a neighbour solicitation of the router, while no guest
// is known, and that the answer makes the guest the holder.
func TestProbesOfIPv6(t *testing.T) {
	now := time.Second
	d, _ := observedWith(t, &now, dualPlan(t))
	d.applyAll(taken)
	a := d.addresses[1]
	a.probeForGuest()
	probes := make(chan []byte, 1)
	go func() {
		batch := make([]vswitch.Frame, 1)
		if n, err := d.server.Receive(batch); err == nil && n == 1 {
			probes <- batch[0].Data
		}
	}()
	frame := within(t, "a probe", probes)
	target, source := netip.AddrFrom16([16]byte(frame[62:])), netip.AddrFrom16([16]byte(frame[22:]))
	if frame[54] != 135 || target != podIPv6 || source != routerMAC.LinkLocal() || frame[21] != 255 || vswitch.MAC(frame[6:]) != routerMAC {
		t.Fatalf("the probe is %x", frame)
	}
	reply := append(append(append([]byte{}, routerMAC[:]...), firstMAC[:]...), 0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255)
	reply = append(append(reply, firstMAC.LinkLocal().AsSlice()...), source.AsSlice()...)
	reply = append(append(reply, 136, 0, 0, 0, 0x40, 0, 0, 0), target.AsSlice()...)
	binary.BigEndian.PutUint16(reply[56:], vnet.Checksum(reply[54:], vnet.PseudoSum(reply[22:38], reply[38:54], 58, 24)))
	d.delegate.Forward(vswitch.PortGuest, []vswitch.Frame{{Data: reply}}, d.clock(), vswitch.NewOut(len(d.ports), d.ports[vswitch.PortGuest].Counters()))
	if got := a.holder(); got != vswitch.HolderGuest {
		t.Errorf("after its answer the %s holds the address", got)
	}
	a.probeForGuest()
	d.server.Close()
	if n := d.server.Counters().Drops()[vswitch.PortDown.String()]; n != 0 { // what was in the queue
		t.Errorf("%d probes although the guest is known", n)
	}
}
