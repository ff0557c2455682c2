package dhcpsrv

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// advertisementText parses a router advertisement with gopacket, and returns it as text.
func advertisementText(t testing.TB, message []byte) string {
	t.Helper()
	packet := gopacket.NewPacket(message, layers.LayerTypeICMPv6, gopacket.Default)
	icmp, _ := packet.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	ra, _ := packet.Layer(layers.LayerTypeICMPv6RouterAdvertisement).(*layers.ICMPv6RouterAdvertisement)
	if packet.ErrorLayer() != nil || icmp == nil || ra == nil || icmp.Checksum != 0 {
		t.Fatalf("no router advertisement without a checksum: %v, %x", packet.ErrorLayer(), message)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "hop limit %d, M %t, O %t, preference and more %x, router for %d s, reachable %d, retransmit %d\n",
		ra.HopLimit, ra.ManagedAddressConfig(), ra.OtherConfig(), ra.Flags&0x3f, ra.RouterLifetime, ra.ReachableTime, ra.RetransTimer)
	for _, o := range ra.Options {
		b.WriteString(advertisedOption(o) + "\n")
	}
	return b.String()
}

// advertisedOption returns an option as text. RFC 4861, section 4.6; RFC 4191, section 2.3; RFC 8106, section 5.
func advertisedOption(o layers.ICMPv6Option) string {
	v := o.Data
	seconds := func(at int) uint32 { return binary.BigEndian.Uint32(v[at:]) }
	switch o.Type {
	case layers.ICMPv6OptSourceAddress:
		return fmt.Sprintf("source %s", MAC(v))
	case layers.ICMPv6OptMTU:
		return fmt.Sprintf("MTU %d", seconds(2))
	case layers.ICMPv6OptPrefixInfo:
		return fmt.Sprintf("prefix %s/%d, L %t, A %t, others %x, valid %d, preferred %d",
			netip.AddrFrom16([16]byte(v[14:])), v[0], v[1]&0x80 != 0, v[1]&0x40 != 0, v[1]&0x3f, seconds(2), seconds(6))
	case 24:
		var prefix [16]byte
		copy(prefix[:], v[6:])
		return fmt.Sprintf("route %s/%d, preference %x, for %d s, in %d bytes", netip.AddrFrom16(prefix), v[0], v[1], seconds(2), len(v)+2)
	case 25:
		return fmt.Sprintf("name servers for %d s: %s", seconds(2), addresses6(v[6:]))
	case 31:
		return fmt.Sprintf("search for %d s: %s", seconds(2), strings.Join(strings.Fields(domains(v[6:])), " "))
	}
	return fmt.Sprintf("option %d: %x", o.Type, v)
}

func TestRouterAdvertisement(t *testing.T) {
	const options = `source 02:5e:10:00:00:01
MTU 1450
prefix fd00:10:244:1::7/128, L true, A false, others 0, valid 86400, preferred 86400
name servers for 9000 s: fd00:10:96::a
search for 9000 s: default.svc.cluster.local svc.cluster.local cluster.local
`
	const managed = "hop limit 64, M true, O true, preference and more 0, router for %d s, reachable 0, retransmit 0\n"
	bare := func(o *Offer6) { o.MTU, o.NameServers, o.Search = 0, nil, nil }
	for _, test := range []struct {
		name, profile string
		change        func(*Offer6)
		want          string
	}{
		{"a default router", "bridge", func(*Offer6) {}, fmt.Sprintf(managed, 9000) + options},
		{"only routes", "bridge+closed", func(o *Offer6) { o.Routes = append(o.Routes, netip.MustParsePrefix("fd01::1/128")) },
			fmt.Sprintf(managed, 0) + options +
				"route fd00:10:244::/48, preference 0, for 9000 s, in 16 bytes\n" +
				"route fd00:10:96::/112, preference 0, for 9000 s, in 24 bytes\n" +
				"route fd01::1/128, preference 0, for 9000 s, in 24 bytes\n"},
		{"no routes", "bridge", func(o *Offer6) { o.Routes = nil }, fmt.Sprintf(managed, 0) + options},
		{"neither MTU nor names", "bridge", bare, fmt.Sprintf(managed, 9000) + "source 02:5e:10:00:00:01\n" +
			"prefix fd00:10:244:1::7/128, L true, A false, others 0, valid 86400, preferred 86400\n"},
		{"an address that ends", "bridge+ending", bare, fmt.Sprintf(managed, 9000) + "source 02:5e:10:00:00:01\n" +
			"prefix fd00:10:244:1::7/128, L true, A false, others 0, valid 1000, preferred 500\n"},
		{"an address that has ended", "bridge", func(o *Offer6) { bare(o); o.Expires = testNow.Add(-time.Second) }, fmt.Sprintf(managed, 9000) +
			"source 02:5e:10:00:00:01\nprefix fd00:10:244:1::7/128, L true, A false, others 0, valid 0, preferred 0\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := mustProfile6(t, test.profile)
			test.change(&o)
			got := advertisementText(t, newOffer6(t, o).RouterAdvertisement(testNow))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestAdvertisedRoutes checks that an advertisement has as many routes as fit into the least MTU, with a warning for the others.
func TestAdvertisedRoutes(t *testing.T) {
	o := mustProfile6(t, "bridge+closed")
	o.Routes = nil
	for n := range 100 {
		o.Routes = append(o.Routes, netip.MustParsePrefix(fmt.Sprintf("fd00:%x::/32", n+1)))
	}
	made, warnings, err := NewOffer6(o)
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "routes: 67 of 100 fit") {
		t.Fatalf("error %v, warnings %q", err, warnings)
	}
	message := made.RouterAdvertisement(testNow)
	if n := strings.Count(advertisementText(t, message), "route fd00:"); n != 67 || len(message) > 1240 || len(message) <= 1240-16 {
		t.Errorf("%d routes in %d bytes", n, len(message))
	}
}

func TestLinkLocal(t *testing.T) {
	if got := LinkLocal(guestMAC); got != guestLL {
		t.Errorf("%s gives %s, want %s", guestMAC, got, guestLL)
	}
	if got := newOffer6(t, mustProfile6(t, "bridge")).Router().String(); got != "fe80::5e:10ff:fe00:1" {
		t.Errorf("the router is %s", got)
	}
}
