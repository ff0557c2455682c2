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

// A leaseTest is a lessee in a world where time stands still until it is moved.
type leaseTest struct {
	*lessee
	t      *testing.T
	time   time.Duration
	alive  map[vswitch.MAC]time.Duration // who was heard when
	probes []vswitch.MAC
	events []event
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
	lt.lessee = &lessee{
		offer: offer, log: newGuestLog(zap.NewNop()),
		now:   func() time.Time { return epoch.Add(lt.time) },
		apply: func(e event, _ vswitch.MAC) { lt.events = append(lt.events, e) },
		prober: prober{
			clock:   func() time.Duration { return lt.time },
			lastUse: func(mac vswitch.MAC) (time.Duration, bool) { at, ok := lt.alive[mac]; return at, ok },
			send:    func(mac vswitch.MAC) { lt.probes = append(lt.probes, mac) },
		},
	}
	return lt
}

// says sends a message of a client and returns the type of the answer, or 0.
func (lt *leaseTest) says(mac vswitch.MAC, kind dhcpv4.MessageType, options ...dhcpv4.Modifier) dhcpv4.MessageType {
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

func (lt *leaseTest) takes(mac vswitch.MAC) {
	lt.t.Helper()
	request := dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.IPv4(10, 244, 1, 7)))
	server := dhcpv4.WithOption(dhcpv4.OptServerIdentifier(netip.MustParseAddr("169.254.75.10").AsSlice()))
	if got := lt.says(mac, dhcpv4.MessageTypeRequest, request, server); got != dhcpv4.MessageTypeAck {
		lt.t.Fatalf("%s: REQUEST got %s", mac, got)
	}
}

// TestOtherMAC shows that another MAC gets the address only after the first one was probed twice in vain, and said nothing else.
func TestOtherMAC(t *testing.T) {
	for _, c := range []struct {
		name  string
		sign  func(lt *leaseTest) // of life, after the probes
		taken bool
	}{
		{"silent", func(*leaseTest) {}, true},
		{"answers", func(lt *leaseTest) { lt.alive[firstMAC] = lt.time }, false},
		{"asks by DHCP", func(lt *leaseTest) { lt.says(firstMAC, dhcpv4.MessageTypeDiscover) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			lt := newLeaseTest(t)
			lt.takes(firstMAC)
			lt.time += time.Minute
			for range probeCount {
				if got := lt.says(secondMAC, dhcpv4.MessageTypeDiscover); got != 0 {
					t.Fatalf("answered %s before the first MAC was probed", got)
				}
				lt.time += probeWait
			}
			if want := []vswitch.MAC{firstMAC, firstMAC}; !slices.Equal(lt.probes, want) {
				t.Fatalf("probes %v", lt.probes)
			}
			c.sign(lt)
			lt.time += time.Millisecond
			if got := lt.says(secondMAC, dhcpv4.MessageTypeDiscover) == dhcpv4.MessageTypeOffer; got != c.taken {
				t.Errorf("the second MAC gets an offer: %v", got)
			}
		})
	}
}

// TestProbesArePaced shows that a stranger who asks often has the owner probed once a second.
func TestProbesArePaced(t *testing.T) {
	lt := newLeaseTest(t)
	lt.takes(firstMAC)
	lt.time += time.Minute
	for range 1000 {
		lt.says(secondMAC, dhcpv4.MessageTypeDiscover)
	}
	if len(lt.probes) != 1 {
		t.Errorf("%d probes in no time", len(lt.probes))
	}
}

// TestOldSilence shows that silence is believed for a while only.
func TestOldSilence(t *testing.T) {
	lt := newLeaseTest(t)
	lt.takes(firstMAC)
	lt.time += time.Minute
	for range probeCount {
		lt.says(secondMAC, dhcpv4.MessageTypeDiscover)
		lt.time += probeWait
	}
	lt.time += probeValid
	if got := lt.says(secondMAC, dhcpv4.MessageTypeDiscover); got != 0 {
		t.Errorf("answered %s on old probes", got)
	}
	if len(lt.probes) != probeCount+1 {
		t.Errorf("%d probes, want a new one", len(lt.probes))
	}
}

// TestLinkDown shows that after the guest's link went down anybody may come.
func TestLinkDown(t *testing.T) {
	lt := newLeaseTest(t)
	lt.takes(firstMAC)
	lt.linkDown()
	lt.takes(secondMAC)
	if got := lt.says(firstMAC, dhcpv4.MessageTypeDiscover); got != 0 {
		t.Errorf("the first MAC, back after the second has the lease, got %s", got)
	}
}

// TestExpire shows that the lease ends on time, and not before.
func TestExpire(t *testing.T) {
	lt := newLeaseTest(t)
	lt.takes(firstMAC)
	lt.time += 24*time.Hour - time.Second
	lt.expire()
	if _, ok := lt.current(); !ok {
		t.Error("the lease ended too early")
	}
	lt.time += 2 * time.Second
	lt.expire()
	if _, ok := lt.current(); ok {
		t.Error("the lease has not ended")
	}
	if want := []event{ack, expire}; !slices.Equal(lt.events, want) {
		t.Errorf("events %v, want %v", lt.events, want)
	}
}

// TestRelease shows what a RELEASE and a DECLINE mean for the holder.
func TestRelease(t *testing.T) {
	lt := newLeaseTest(t)
	server := dhcpv4.WithOption(dhcpv4.OptServerIdentifier(netip.MustParseAddr("169.254.75.10").AsSlice()))
	lt.takes(firstMAC)
	lt.says(firstMAC, dhcpv4.MessageTypeRelease, dhcpv4.WithClientIP(net.IPv4(10, 244, 1, 7)), server)
	lt.takes(firstMAC)
	lt.says(firstMAC, dhcpv4.MessageTypeDecline, server, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.IPv4(10, 244, 1, 7))))
	if want := []event{ack, release, ack, decline}; !slices.Equal(lt.events, want) {
		t.Errorf("events %v, want %v", lt.events, want)
	}
}

// TestPinned shows that a pinned guest shares its lease with nobody.
func TestPinned(t *testing.T) {
	lt := newLeaseTest(t)
	lt.pinned = firstMAC
	if got := lt.says(secondMAC, dhcpv4.MessageTypeDiscover); got != 0 {
		t.Errorf("the second MAC got %s", got)
	}
	lt.takes(firstMAC)
}
