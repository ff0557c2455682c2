package dataplane

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"go.uber.org/zap"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/vswitch"
)

var (
	firstMAC  = vswitch.MAC{2, 0, 0, 0, 0, 1}
	secondMAC = vswitch.MAC{2, 0, 0, 0, 0, 2}
)

// A leaseTest is leases with a clock that the test sets.
type leaseTest struct {
	*leases
	t      *testing.T
	time   time.Duration
	alive  map[vswitch.MAC]time.Duration // by MAC: the last use of the address
	probes []vswitch.MAC
	events []holderEvent
}

func newLeaseTest(t *testing.T) *leaseTest {
	offer, _, err := dhcpsrv.NewOffer(dhcpsrv.Offer{
		Address: netip.MustParsePrefix("10.244.1.7/24"), Server: netip.MustParseAddr("169.254.75.10"), Lease: 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	lt := &leaseTest{t: t, time: time.Second, alive: map[vswitch.MAC]time.Duration{}}
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	lt.leases = &leases{offer: offer, ownership: ownership{
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

// exchange passes a message of a client to the leases, and returns the type of the reply, or 0.
func (lt *leaseTest) exchange(mac vswitch.MAC, kind dhcpv4.MessageType, options ...dhcpv4.Modifier) dhcpv4.MessageType {
	lt.t.Helper()
	options = append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(net.HardwareAddr(mac[:])), dhcpv4.WithMessageType(kind)}, options...)
	message, err := dhcpv4.New(options...)
	if err != nil {
		lt.t.Fatal(err)
	}
	reply, _, _ := lt.handle(message.ToBytes())
	if reply == nil {
		return 0
	}
	answer, err := dhcpv4.FromBytes(reply)
	if err != nil {
		lt.t.Fatal(err)
	}
	return answer.MessageType()
}

func (lt *leaseTest) acquire(mac vswitch.MAC) {
	lt.t.Helper()
	request := dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.IPv4(10, 244, 1, 7)))
	server := dhcpv4.WithOption(dhcpv4.OptServerIdentifier(netip.MustParseAddr("169.254.75.10").AsSlice()))
	if got := lt.exchange(mac, dhcpv4.MessageTypeRequest, request, server); got != dhcpv4.MessageTypeAck {
		lt.t.Fatalf("%s: REQUEST got %s", mac, got)
	}
}

// TestOtherMAC checks that another MAC gets the address only after the first one has answered neither of two probes and sent no DHCP
// message.
func TestOtherMAC(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(lt *leaseTest) // to the probes
		moves  bool
	}{
		{"no answer", func(*leaseTest) {}, true},
		{"answers", func(lt *leaseTest) { lt.alive[firstMAC] = lt.time }, false},
		{"asks by DHCP", func(lt *leaseTest) { lt.exchange(firstMAC, dhcpv4.MessageTypeDiscover) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			lt := newLeaseTest(t)
			lt.acquire(firstMAC)
			lt.time += time.Minute
			for range probeCount {
				if got := lt.exchange(secondMAC, dhcpv4.MessageTypeDiscover); got != 0 {
					t.Fatalf("answered %s before the first MAC was probed", got)
				}
				lt.time += probeWait
			}
			if want := []vswitch.MAC{firstMAC, firstMAC}; !slices.Equal(lt.probes, want) {
				t.Fatalf("probes %v", lt.probes)
			}
			c.answer(lt)
			lt.time += time.Millisecond
			if got := lt.exchange(secondMAC, dhcpv4.MessageTypeDiscover) == dhcpv4.MessageTypeOffer; got != c.moves {
				t.Errorf("the second MAC gets an offer: %v", got)
			}
		})
	}
}

// TestProbesArePaced checks that frequent requests of another MAC cause one probe a second.
func TestProbesArePaced(t *testing.T) {
	lt := newLeaseTest(t)
	lt.acquire(firstMAC)
	lt.time += time.Minute
	for range 1000 {
		lt.exchange(secondMAC, dhcpv4.MessageTypeDiscover)
	}
	if len(lt.probes) != 1 {
		t.Errorf("%d probes at one time, want 1", len(lt.probes))
	}
}

// TestProbesExpire checks that unanswered probes count only for probeValid.
func TestProbesExpire(t *testing.T) {
	lt := newLeaseTest(t)
	lt.acquire(firstMAC)
	lt.time += time.Minute
	for range probeCount {
		lt.exchange(secondMAC, dhcpv4.MessageTypeDiscover)
		lt.time += probeWait
	}
	lt.time += probeValid
	if got := lt.exchange(secondMAC, dhcpv4.MessageTypeDiscover); got != 0 {
		t.Errorf("answered %s on old probes", got)
	}
	if len(lt.probes) != probeCount+1 {
		t.Errorf("%d probes, want a new one", len(lt.probes))
	}
}

// TestLinkDown checks that any MAC gets the address after the guest's link went down.
func TestLinkDown(t *testing.T) {
	lt := newLeaseTest(t)
	lt.acquire(firstMAC)
	lt.noteAbsence()
	lt.acquire(secondMAC)
	if got := lt.exchange(firstMAC, dhcpv4.MessageTypeDiscover); got != 0 {
		t.Errorf("the first MAC, back after the second has the lease, got %s", got)
	}
}

// TestExpire checks that the lease ends when it expires, and not before.
func TestExpire(t *testing.T) {
	lt := newLeaseTest(t)
	lt.acquire(firstMAC)
	lt.time += 24*time.Hour - time.Second
	lt.expire()
	if ok := lt.status() != nil; !ok {
		t.Error("the lease ended too early")
	}
	lt.time += 2 * time.Second
	lt.expire()
	if ok := lt.status() != nil; ok {
		t.Error("the lease has not ended")
	}
	if want := []holderEvent{ack, expire}; !slices.Equal(lt.events, want) {
		t.Errorf("events %v, want %v", lt.events, want)
	}
}

// TestRelease checks the events of a RELEASE and a DECLINE.
func TestRelease(t *testing.T) {
	lt := newLeaseTest(t)
	server := dhcpv4.WithOption(dhcpv4.OptServerIdentifier(netip.MustParseAddr("169.254.75.10").AsSlice()))
	lt.acquire(firstMAC)
	lt.exchange(firstMAC, dhcpv4.MessageTypeRelease, dhcpv4.WithClientIP(net.IPv4(10, 244, 1, 7)), server)
	lt.acquire(firstMAC)
	lt.exchange(firstMAC, dhcpv4.MessageTypeDecline, server, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.IPv4(10, 244, 1, 7))))
	if want := []holderEvent{ack, dhcpRelease, ack, dhcpDecline}; !slices.Equal(lt.events, want) {
		t.Errorf("events %v, want %v", lt.events, want)
	}
}

// TestPinned checks that only the pinned MAC gets the lease.
func TestPinned(t *testing.T) {
	lt := newLeaseTest(t)
	lt.pinned = firstMAC
	if got := lt.exchange(secondMAC, dhcpv4.MessageTypeDiscover); got != 0 {
		t.Errorf("the second MAC got %s", got)
	}
	lt.acquire(firstMAC)
}
