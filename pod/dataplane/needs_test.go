package dataplane

import (
	"net/netip"
	"testing"

	"github.com/podswitch/podswitch/pod/grant"
)

// TestNeeds checks that the descriptors of a switch grow with its ports and services.
func TestNeeds(t *testing.T) {
	g := &grant.Grant{Ports: []grant.Port{{Kind: "tap"}, {Kind: "packet"}}}
	least := needsOf(g)
	if least.Datagrams || least.Descriptors != someDescriptors+2*portDescriptors {
		t.Errorf("a plain switch needs %+v", least)
	}
	g.Ports[0].Kind = "dgram"
	g.Forwarder.Delegate = &grant.Delegate{Keep: make([]grant.KeptPort, 3), RelayDNS: make([]netip.AddrPort, 2)}
	if most := needsOf(g); !most.Datagrams || most.Descriptors != least.Descriptors+4*serviceDescriptors {
		t.Errorf("with services it needs %+v", most)
	}
	d := g.Forwarder.Delegate
	d.Keep[0].Network, d.Keep[1].Network = "udp", "tcp"
	d.Pod.AddressIPv6 = netip.MustParsePrefix("fd00::7/64")
	if one := needsOf(g); one.Descriptors != least.Descriptors+4*serviceDescriptors {
		t.Errorf("with a kept UDP port of one address it needs %+v", one)
	}
	d.Pod.Address = netip.MustParsePrefix("10.0.0.7/24")
	if both := needsOf(g); both.Descriptors != least.Descriptors+5*serviceDescriptors {
		t.Errorf("with a kept UDP port of both addresses it needs %+v", both)
	}
}
