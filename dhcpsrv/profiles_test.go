package dhcpsrv

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// testNow is the time of every query.
var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var (
	guestMAC = MAC{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	otherMAC = MAC{0x52, 0x54, 0, 0xaa, 0xbb, 0xcc}
)

// route parses "10.244.0.0/16 via 10.244.1.1" and "169.254.1.1/32".
func route(text string) Route {
	destination, gateway, via := strings.Cut(text, " via ")
	r := Route{Destination: netip.MustParsePrefix(destination)}
	if via {
		r.Gateway = netip.MustParseAddr(gateway)
	}
	return r
}

// profile returns the argument of NewOffer for a pod of the network plugin. Routes are in the order of a dump.
// With "+boot" behind the plugin's name, it has boot options as well, and with "+http" the URI of a boot file. "bridge=ADDRESS/BITS,GATEWAY" is a bridge
// with a network of the test's choice, for requests that were recorded in it.
func profile(name string) (o Offer, ok bool) {
	var address, server string
	var routes []string
	plugin, boots := strings.CutSuffix(name, "+boot")
	plugin, bootsByHTTP := strings.CutSuffix(plugin, "+http")
	plugin, network, _ := strings.Cut(plugin, "=")
	switch plugin {
	case "bridge":
		address, server, _ = strings.Cut(network, ",")
		routes = []string{"0.0.0.0/0 via " + server, netip.MustParsePrefix(address).Masked().String()}
	case "flannel":
		address, server = "10.244.1.7/24", "10.244.1.1"
		routes = []string{"0.0.0.0/0 via 10.244.1.1", "10.244.0.0/16 via 10.244.1.1", "10.244.1.0/24"}
	case "calico":
		address, server = "192.168.103.70/32", "169.254.1.1"
		routes = []string{"0.0.0.0/0 via 169.254.1.1", "169.254.1.1/32"}
	case "weave":
		address, server = "10.32.0.5/12", "10.32.0.1"
		routes = []string{"0.0.0.0/0 via 10.32.0.1", "10.32.0.0/12", "224.0.0.0/4"}
	case "openshift-sdn":
		address, server = "10.128.0.16/23", "10.128.0.1"
		routes = []string{"0.0.0.0/0 via 10.128.0.1", "10.128.0.0/14", "10.128.0.0/23", "224.0.0.0/4"}
	case "aws-vpc":
		address, server = "192.168.21.225/32", "169.254.1.1"
		routes = []string{"0.0.0.0/0 via 169.254.1.1", "169.254.1.1/32"}
	default:
		return Offer{}, false
	}
	o = Offer{
		Address:     netip.MustParsePrefix(address),
		Server:      netip.MustParseAddr(server),
		Gateway:     netip.MustParseAddr(server),
		MTU:         1450,
		NameServers: []netip.Addr{netip.MustParseAddr("10.96.0.10")},
		Domain:      "default.svc.cluster.local",
		Search:      []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"},
		HostName:    "web-0",
		Lease:       time.Hour,
	}
	for _, r := range routes {
		o.Routes = append(o.Routes, route(r))
	}
	if bootsByHTTP {
		o.BootFileName = "http://10.244.1.8/boot.efi"
	}
	if boots {
		o.BootFileName, o.TFTPServerName = "boot/guest.ipxe", "10.244.1.9"
		o.NTPServers = []netip.Addr{netip.MustParseAddr("10.244.1.10"), netip.MustParseAddr("10.244.1.11")}
		o.Private = []PrivateOption{{230, "rack 7"}, {224, "blue"}}
	}
	return o, true
}

// mustProfile returns a profile for tests that change it.
func mustProfile(t testing.TB, name string) Offer {
	t.Helper()
	o, ok := profile(name)
	if !ok {
		t.Fatalf("offer profile %q is unknown", name)
	}
	return o
}

// newOffer makes an offer without warnings.
func newOffer(t testing.TB, o Offer) *Offer {
	t.Helper()
	made, warnings, err := NewOffer(o)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("NewOffer: error %v, warnings %q", err, warnings)
	}
	return made
}
