package plan

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
)

// identityOf returns the identity of a pod with these families: of a bridge plugin, and with IPv6 of Calico, whose gateway is link-local.
func identityOf(families ...podnet.Family) *podnet.Identity {
	id := identity()
	id.Addresses = append(id.Addresses, podnet.Address{Prefix: netip.MustParsePrefix("fd00:10:244:1::7/128")})
	id.Routes = append(id.Routes, podnet.Route{Dst: netip.MustParsePrefix("::/0"), Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST,
		Link: id.Link.Index, Gateway: netip.MustParseAddr("fe80::1"), Metrics: podnet.Metrics{"mtu": 1400}})
	id.Neighbours = append(id.Neighbours, podnet.Neighbour{Address: netip.MustParseAddr("fe80::1"), MAC: podnet.MAC{2, 1}, State: unix.NUD_PERMANENT})
	id.Resolv.NameServers = []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00:96::a")}
	return id.Only(families...)
}

func resolveFor(t *testing.T, id *podnet.Identity, change func(*Config)) *Plan {
	t.Helper()
	cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
	if change != nil {
		change(&cfg)
	}
	p, err := resolve(cfg, id, &environment{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFamilies checks what a plan has for each combination of families: the guest is told about those that the pod has.
func TestFamilies(t *testing.T) {
	for name, c := range map[string]struct {
		families   []podnet.Family
		ethertypes []uint16
		warns      string // part of the only warning; empty: none
	}{
		"both": {[]podnet.Family{podnet.IPv4, podnet.IPv6}, []uint16{typeVLAN, typeQinQ, typeIPv4, typeARP, typeIPv6}, ""},
		"IPv4": {[]podnet.Family{podnet.IPv4}, []uint16{typeVLAN, typeQinQ, typeIPv4, typeARP}, "fd00:96::a"},
		"IPv6": {[]podnet.Family{podnet.IPv6}, []uint16{typeVLAN, typeQinQ, typeIPv6}, "10.96.0.10"},
	} {
		t.Run(name, func(t *testing.T) {
			p := resolveFor(t, identityOf(c.families...), nil)
			has4, has6 := slices.Contains(c.families, podnet.IPv4), slices.Contains(c.families, podnet.IPv6)
			if p.Address.IsValid() != has4 || (p.Offer != nil) != has4 || p.Server.IsValid() != has4 {
				t.Errorf("IPv4: %v %v %v", p.Address, p.Offer, p.Server)
			}
			if p.AddressIPv6.IsValid() != has6 || (p.OfferIPv6 != nil) != has6 {
				t.Errorf("IPv6: %v %v", p.AddressIPv6, p.OfferIPv6)
			}
			if got := p.UplinkEthertypes(); !slices.Equal(got, c.ethertypes) {
				t.Errorf("ethertypes %x, want %x", got, c.ethertypes)
			}
			onlySentence(t, "warnings", p.Warnings, c.warns)
			d := p.Delegate()
			if d.Address.IsValid() != has4 || d.AddressIPv6.IsValid() != has6 || (d.Advertisement != nil) != has6 || d.GuestMTU == 0 {
				t.Errorf("forwarder %+v", d)
			}
			w := p.Wire().Delegate
			if (w.Offer != nil) != has4 || (w.OfferIPv6 != nil) != has6 || w.Pod.AddressIPv6.IsValid() != has6 {
				t.Errorf("on the wire %+v", w)
			}
		})
	}
}

// TestOfferIPv6 checks what the guest of a dual-stack pod is told, and the routes and neighbours of the forwarder.
func TestOfferIPv6(t *testing.T) {
	p := resolveFor(t, identityOf(podnet.IPv4, podnet.IPv6), nil)
	o := p.OfferIPv6
	if o.MTU != 1400 || !slices.Equal(o.NameServers, []netip.Addr{netip.MustParseAddr("fd00:96::a")}) || !slices.Equal(o.Routes, []netip.Prefix{netip.MustParsePrefix("::/0")}) {
		t.Errorf("offer %+v", o)
	}
	if !slices.Equal(p.Offer.NameServers, []netip.Addr{netip.MustParseAddr("10.96.0.10")}) {
		t.Errorf("IPv4 name servers %v", p.Offer.NameServers)
	}
	d := p.Delegate()
	hasRoute, hasNeighbour := false, false
	for _, r := range d.Routes {
		hasRoute = hasRoute || r.Destination.String() == "::/0" && r.Gateway.String() == "fe80::1" && r.MTU == 1400
	}
	for _, n := range d.Permanent {
		hasNeighbour = hasNeighbour || n.Addr.String() == "fe80::1"
	}
	if !hasRoute || !hasNeighbour {
		t.Errorf("routes %+v, neighbours %+v", d.Routes, d.Permanent)
	}
	text := strings.Join(p.Summary(), "\n")
	for _, want := range []string{
		"pod    eth0         fd00:10:244:1::7/128  gateway fe80::1  mtu 1400", "ra     tells        router fe80::", "mtu 1400  dns fd00:96::a",
		"dhcp6  offers       fd00:10:244:1::7  dns fd00:96::a", "server fe80::",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary lacks %q:\n%s", want, text)
		}
	}
}

// TestMultipathOfIPv6 checks that the forwarder has a multipath route by its first gateway on the pod interface, and that the guest is told of
// it, but not of a route that leads only through another interface.
func TestMultipathOfIPv6(t *testing.T) {
	id := identityOf(podnet.IPv6)
	multipath := func(dst string, hops ...podnet.NextHop) podnet.Route {
		return podnet.Route{Dst: netip.MustParsePrefix(dst), Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST, NextHops: hops}
	}
	hop := func(link int, gateway string) podnet.NextHop {
		return podnet.NextHop{Link: link, Gateway: netip.MustParseAddr(gateway), Weight: 1}
	}
	const other = 9
	here := id.Link.Index
	id.Routes = []podnet.Route{
		multipath("::/0", hop(other, "fe80::9"), hop(here, "fe80::2"), hop(here, "fe80::3")),
		multipath("fd00:53::/64", hop(here, "fd00::4"), hop(here, "fd00::5")),
		multipath("fd00:54::/64", hop(other, "fe80::8"), hop(other, "fe80::9")),
	}
	p := resolveFor(t, id, nil)
	gateways := map[string]string{}
	for _, r := range p.Delegate().Routes {
		gateways[r.Destination.String()] = r.Gateway.String()
	}
	if want := map[string]string{"::/0": "fe80::2", "fd00:53::/64": "fd00::4"}; !maps.Equal(gateways, want) {
		t.Errorf("next hops %v, want %v", gateways, want)
	}
	if gateway, ok := id.Gateway(podnet.IPv6); !ok || gateway.String() != "fe80::2" {
		t.Errorf("gateway %v, %t", gateway, ok)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("fd00:53::/64"), netip.MustParsePrefix("::/0")}; !slices.Equal(p.OfferIPv6.Routes, want) {
		t.Errorf("the guest is told of %v, want %v", p.OfferIPv6.Routes, want)
	}
}

// TestRelayIPv6 checks that a name server with an IPv6 address is relayed only if the pod's IPv6 stays with the pod: otherwise the guest asks
// it itself, and the pod cannot.
func TestRelayIPv6(t *testing.T) {
	for name, c := range map[string]struct {
		families []podnet.Family
		relayed  bool
	}{
		"moves": {[]podnet.Family{podnet.IPv4, podnet.IPv6}, false}, "stays": {[]podnet.Family{podnet.IPv4}, true},
	} {
		cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
		p, err := resolve(cfg, identityOf(c.families...), &environment{hasIPv6: true})
		if err != nil {
			t.Fatal(err)
		}
		if (len(p.RelayDNS) > 0) != c.relayed || (matching(p.Found, "which asks it over the pod's own IPv6") == 1) != c.relayed {
			t.Errorf("IPv6 %s: relayed %v, found %q", name, p.RelayDNS, p.Found)
		}
	}
}

// TestNoIPv6 checks the reasons for which an IPv6 address stays with the pod.
func TestNoIPv6(t *testing.T) {
	small := func(id *podnet.Identity) { id.Routes[len(id.Routes)-1].Metrics["mtu"] = 1279 }
	id := identityOf(podnet.IPv4, podnet.IPv6)
	small(id)
	p := resolveFor(t, id, nil)
	if p.AddressIPv6.IsValid() || !p.Address.IsValid() || len(p.Identity.Addresses) != 1 || matching(p.Warnings, "IPv6 needs 1280") != 1 {
		t.Errorf("a small MTU: %v, addresses %v, warnings %q", p.AddressIPv6, p.Identity.Addresses, p.Warnings)
	}
	id = identityOf(podnet.IPv6)
	small(id)
	cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
	if _, err := resolve(cfg, id, &environment{}); err == nil || !strings.Contains(err.Error(), "permanent global IPv6 address") ||
		!strings.Contains(err.Error(), "its MTU would be 1279") {
		t.Errorf("a small MTU without IPv4: %v", err)
	}
	id = identityOf(podnet.IPv4, podnet.IPv6)
	id.Kept = []podnet.Address{{Prefix: netip.MustParsePrefix("fe80::7/64"), Flags: unix.IFA_F_PERMANENT},
		{Prefix: netip.MustParsePrefix("fd00::99/64"), Flags: unix.IFA_F_MANAGETEMPADDR}}
	onlySentence(t, "warnings", resolveFor(t, id, nil).Warnings, "fd00::99/64 stays with the pod's kernel, which has made it from a router advertisement")
}

// TestNoAddress checks that the error of a pod without the address of a family names the flag, if it is the cause.
func TestNoAddress(t *testing.T) {
	for families, want := range map[model.Families]string{
		model.IPv4:        "needs a global IPv4 address on the interface, because of --families ipv4 (let the network plugin assign one, or omit --families)",
		model.IPv6:        "needs a permanent global IPv6 address on the interface, because of --families ipv6",
		model.AllFamilies: "needs a global IPv4 address on the interface, or a permanent global IPv6 address (",
	} {
		cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}, Families: families}
		if _, err := resolve(cfg, identityOf(), &environment{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", families, err, want)
		}
	}
}

// TestWhyNoIPv6 checks that a plan, or the error of a pod without another address, names what keeps the pod from IPv6.
func TestWhyNoIPv6(t *testing.T) {
	kept := func(flags uint32, protocol uint8) func(*podnet.Identity, *environment) {
		return func(id *podnet.Identity, _ *environment) {
			id.Kept = []podnet.Address{{Prefix: netip.MustParsePrefix("fe80::7/64"), Flags: unix.IFA_F_PERMANENT},
				{Prefix: netip.MustParsePrefix("fd00::99/64"), Flags: flags, Protocol: protocol}}
		}
	}
	for want, change := range map[string]func(*podnet.Identity, *environment){
		"IPv6 is disabled on eth0 (net.ipv6.conf.eth0.disable_ipv6)": func(_ *podnet.Identity, env *environment) { env.routing.IPv6Disabled = true },
		"the MTU of eth0 is 1279, and IPv6 needs 1280":               func(id *podnet.Identity, _ *environment) { id.Link.MTU = 1279 },
		"which has found that another host has it (dadfailed)":       kept(unix.IFA_F_PERMANENT|unix.IFA_F_DADFAILED|unix.IFA_F_TENTATIVE, 0),
		"because it is deprecated":                                   kept(unix.IFA_F_PERMANENT|unix.IFA_F_DEPRECATED, 0),
		"because it has a lifetime":                                  kept(0, 0),
		"which has made it from a router advertisement":              kept(unix.IFA_F_TEMPORARY, 0),
	} {
		cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
		dual, alone, env := identityOf(podnet.IPv4), identityOf(), &environment{}
		change(dual, env)
		change(alone, env)
		p, err := resolve(cfg, dual, env)
		if err != nil {
			t.Fatal(err)
		}
		if matching(p.Found, want)+matching(p.Warnings, want) != 1 {
			t.Errorf("%q is not said once: found %q, warnings %q", want, p.Found, p.Warnings)
		}
		if _, err := resolve(cfg, alone, env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without another address: %v, want %q", err, want)
		}
		cfg.Families = model.IPv4
		if p, err := resolve(cfg, identityOf(podnet.IPv4), &environment{}); err != nil || matching(p.Found, "IPv6") != 0 {
			t.Errorf("with --families ipv4: %v, found %q", err, p.Found)
		}
	}
}

// TestTentative checks that a plan says that run waits for duplicate address detection.
func TestTentative(t *testing.T) {
	id := identityOf(podnet.IPv4, podnet.IPv6)
	if p := resolveFor(t, id, nil); matching(p.Found, "tentative") != 0 {
		t.Errorf("found %q", p.Found)
	}
	id.Addresses[1].Flags = unix.IFA_F_PERMANENT | unix.IFA_F_TENTATIVE
	if p := resolveFor(t, id, nil); matching(p.Found, "the address fd00:10:244:1::7/128 is still tentative") != 1 {
		t.Errorf("found %q", p.Found)
	}
}

// TestGuestWithoutClient checks that a plan names the way for a guest that knows SLAAC only.
func TestGuestWithoutClient(t *testing.T) {
	p := resolveFor(t, identityOf(podnet.IPv6), nil)
	if matching(p.Found, "ip -6 address add fd00:10:244:1::7/128 dev DEVICE") != 1 {
		t.Errorf("found %q", p.Found)
	}
}

// TestFamiliesOfConfig checks that --families narrows what is looked at.
func TestFamiliesOfConfig(t *testing.T) {
	for families, want := range map[model.Families][]podnet.Family{
		0: {podnet.IPv4, podnet.IPv6}, model.AllFamilies: {podnet.IPv4, podnet.IPv6}, model.IPv4: {podnet.IPv4}, model.IPv6: {podnet.IPv6},
	} {
		if got := (&Config{Families: families}).families(); !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", families, got, want)
		}
	}
}

// TestPlanWithIPv6InJSON checks that a plan reads back.
func TestPlanWithIPv6InJSON(t *testing.T) {
	p := resolveFor(t, identityOf(podnet.IPv6), nil)
	text, err := p.OfferIPv6.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var back dhcpsrv.Offer6
	if err := back.UnmarshalJSON(text); err != nil || back.Address != p.OfferIPv6.Address || back.MTU != 1400 {
		t.Errorf("%+v, %v", back, err)
	}
}

// TestResolveTakenOfAnotherFamily checks that a run does not continue with an address that its --families leaves with the pod.
func TestResolveTakenOfAnotherFamily(t *testing.T) {
	var conflict *ConflictError
	cfg := Config{Settings: Settings{VM: model.Default()}, PodInterface: "eth0", Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}, Families: model.IPv4}
	if p, err := ResolveTaken(cfg, identityOf(podnet.IPv4, podnet.IPv6)); !errors.As(err, &conflict) {
		t.Errorf("the plan is %+v, %v", p, err)
	}
}
