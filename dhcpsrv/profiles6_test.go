package dhcpsrv

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	podAddress6 = netip.MustParseAddr("fd00:10:244:1::7")
	wrong6      = netip.MustParseAddr("fd00:10:244:9::9")
	guestLL     = netip.MustParseAddr("fe80::5054:ff:fe12:3456")
	routerMAC   = MAC{0x02, 0x5e, 0x10, 0, 0, 1}
)

// profile6 returns the argument of NewOffer6 for a pod. Behind the name of the network plugin, "+http" adds the URI of a boot file and NTP
// servers, "+tftp" a path and a TFTP server, "+closed" removes the default route, and "+ending" ends the address's lifetimes soon.
func profile6(name string) (o Offer6, ok bool) {
	plugin, extras, _ := strings.Cut(name, "+")
	if plugin != "bridge" {
		return o, false
	}
	o = Offer6{
		Address: podAddress6, RouterMAC: routerMAC, MTU: 1450, Lease: 24 * time.Hour,
		Routes:      []netip.Prefix{netip.MustParsePrefix("fd00:10:244:1::/64"), netip.MustParsePrefix("::/0")},
		NameServers: []netip.Addr{netip.MustParseAddr("fd00:10:96::a")},
		Search:      []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"},
	}
	for extra := range strings.SplitSeq(extras, "+") {
		switch extra {
		case "":
		case "http":
			o.BootFileName, o.BootParameters = "http://[fd00:10:244:1::8]/boot.efi", []string{"console=ttyS0"}
			o.NTPServers = []netip.Addr{netip.MustParseAddr("fd00:10:244:1::b")}
		case "tftp":
			architecture := uint16(0)
			o.BootFileName, o.TFTPServerName = "boot/guest.efi", "fd00:10:244:1::9"
			o.BootFiles = []BootFile{{UserClass: "iPXE", Name: "http://boot.example/script.ipxe"}, {Architecture: &architecture, Name: "/undionly.kpxe"}}
		case "closed":
			o.Routes = []netip.Prefix{netip.MustParsePrefix("fd00:10:244::/48"), netip.MustParsePrefix("fd00:10:96::/112")}
		case "ending":
			o.Expires, o.Deprecated = testNow.Add(1000*time.Second), testNow.Add(500*time.Second)
		default:
			return o, false
		}
	}
	return o, true
}

// mustProfile6 returns a profile for tests that change it.
func mustProfile6(t testing.TB, name string) Offer6 {
	t.Helper()
	o, ok := profile6(name)
	if !ok {
		t.Fatalf("IPv6 offer profile %q is unknown", name)
	}
	return o
}

// newOffer6 makes an offer without warnings.
func newOffer6(t testing.TB, o Offer6) *Offer6 {
	t.Helper()
	made, warnings, err := NewOffer6(o)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("NewOffer6: error %v, warnings %q", err, warnings)
	}
	return made
}
