package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// TestResolveAfterAFollowedMAC checks that the keeper which continues after a kill shows the guest the same router MAC, and gives it the same
// MAC, although the MAC of the pod interface has changed since the take.
func TestResolveAfterAFollowedMAC(t *testing.T) {
	cfg := Config{Settings: Settings{VM: model.Default(), PodMAC: true}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
	first, err := resolve(cfg, identity(), &environment{})
	if err != nil {
		t.Fatal(err)
	}
	id := identity()
	id.TakenMAC, id.Link.MAC[5] = id.Link.MAC, 8
	next, err := resolve(cfg, id, &environment{})
	if err != nil {
		t.Fatal(err)
	}
	if next.RouterMAC != first.RouterMAC || next.PinnedMAC != first.PinnedMAC {
		t.Errorf("the router MAC is %v, want %v; the guest has %v, want %v", next.RouterMAC, first.RouterMAC, next.PinnedMAC, first.PinnedMAC)
	}
	if wire := next.Delegate().WireMAC; wire != vswitch.MAC(id.Link.MAC) {
		t.Errorf("the wire MAC is %v", wire)
	}
}

// TestFollow checks for each change of the pod interface what a switch learns from it, and what is refused.
func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name             string
		change           func(id *podnet.Identity)
		changed, refused string // a part of the only sentence; empty: none
		check            func(p *Plan) bool
	}{
		{"nothing", func(*podnet.Identity) {}, "", "", func(p *Plan) bool { return p.Offer.MTU == 1500 }},
		{"resolv.conf", func(id *podnet.Identity) { id.Resolv.Search, id.HostName = []string{"x.example"}, "x" }, "", "", func(p *Plan) bool { return p.Offer.HostName == "" }},
		{"lower MTU", func(id *podnet.Identity) { id.Link.MTU = 1400 }, "MTU of the link: 1500 to 1400", "",
			func(p *Plan) bool { return p.Offer.MTU == 1400 && p.Delegate().MTU == 1400 && p.GuestMTU == 1500 }},
		{"higher MTU", func(id *podnet.Identity) { id.Link.MTU = 9000 }, "MTU of the link: 1500 to 9000", "the guest keeps 1500 at most",
			func(p *Plan) bool { return p.Offer.MTU == 1500 && p.Delegate().MTU == 9000 }},
		{"MTU of the route", func(id *podnet.Identity) { id.Routes[0].Metrics = podnet.Metrics{"mtu": 1300, "advmss": 1200} }, "route added: default via 10.244.1.1 mtu 1300", "",
			func(p *Plan) bool { return p.Offer.MTU == 1300 && p.Delegate().Routes[1].AdvMSS == 1200 }},
		{"MAC", func(id *podnet.Identity) { id.Link.MAC[5] = 8 }, "MAC: 02:00:00:00:00:07 to 02:00:00:00:00:08", "",
			func(p *Plan) bool {
				return p.Delegate().WireMAC[5] == 8 && p.RouterMAC == routerMAC(vswitch.MAC(identity().Link.MAC), vswitch.MAC{})
			}},
		{"name", func(id *podnet.Identity) { id.Link.Name = "eth7" }, "", "", func(p *Plan) bool { return p.Identity.Link.Name == "eth7" }},
		{"gateway", func(id *podnet.Identity) { id.Routes[0].Gateway = serverAddress }, "gateway: 10.244.1.1 to 169.254.75.10", "",
			func(p *Plan) bool { return p.Server == serverAddress && p.Offer.Gateway == serverAddress }},
		{"neighbour", func(id *podnet.Identity) {
			id.Neighbours = []podnet.Neighbour{{Address: netip.MustParseAddr("10.244.1.1"), MAC: podnet.MAC{2, 1}, State: unix.NUD_PERMANENT}}
		}, "permanent neighbour added: {10.244.1.1 02:01:00:00:00:00}", "", func(p *Plan) bool { return len(p.Delegate().Permanent) == 1 }},
		{"lifetime", func(id *podnet.Identity) { id.Addresses[0].Valid, id.Addresses[0].Preferred = 1<<31, 1<<30 }, "end of the address", "",
			func(p *Plan) bool { return p.Wire().Delegate.Offer.Valid > 0 }},
		{"another address", func(id *podnet.Identity) { id.Addresses[0].Prefix = netip.MustParsePrefix("10.244.1.9/24") }, "",
			"the pod address of eth0 is 10.244.1.9/24 now", func(p *Plan) bool { return p.Address.String() == "10.244.1.7/24" }},
		{"no address, and a lower MTU", func(id *podnet.Identity) { id.Addresses, id.Link.MTU = nil, 1400 }, "MTU of the link", "10.244.1.7/24 was removed",
			func(p *Plan) bool { return p.Address.String() == "10.244.1.7/24" && p.Offer.MTU == 1400 }},
		{"more advertised routes than are followed", func(id *podnet.Identity) { id.MoreAdvertised = true }, "", "more than 64 IPv6 routes from router advertisements",
			func(*Plan) bool { return true }},
		{"no ARP", func(id *podnet.Identity) { id.Link.NoARP = true }, "", "has ARP: false now", func(p *Plan) bool { return !p.Delegate().NoARP }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := resolve(Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}, identity(), &environment{})
			if err != nil {
				t.Fatal(err)
			}
			id := identity()
			c.change(id)
			next, refused, err := Follow(p, id)
			if err != nil {
				t.Fatal(err)
			}
			if !c.check(next) {
				t.Errorf("the plan is %+v with %+v", next, next.Offer)
			}
			wants := func(what, part string, list []string) {
				if part == "" && len(list) > 0 || part != "" && !strings.Contains(strings.Join(list, "\n"), part) {
					t.Errorf("%s: %q, want %q", what, list, part)
				}
			}
			wants("changes", c.changed, p.Differences(next))
			wants("refused", c.refused, refused)
		})
	}
}

// TestFollowIPv6 checks that a switch learns the lifetime of the pod's IPv6 address, and that the guest keeps the MTU of its device, in a pod with
// this family alone.
func TestFollowIPv6(t *testing.T) {
	ipv6 := func() *podnet.Identity {
		id := identityOf(podnet.IPv6)
		for i := range id.Routes {
			id.Routes[i].Metrics = nil
		}
		return id
	}
	p, err := resolve(Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}, ipv6(), &environment{})
	if err != nil {
		t.Fatal(err)
	}
	id := ipv6()
	id.Addresses[0].Valid, id.Addresses[0].Preferred, id.Link.MTU = 1<<31, 1<<30, 9000
	next, _, err := Follow(p, id)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Differences(next); !strings.Contains(strings.Join(got, "\n"), "end of the IPv6 address") {
		t.Errorf("changes %q, want the end of the IPv6 address", got)
	}
	if d := next.Wire().Delegate; d.OfferIPv6.Valid == 0 || d.OfferIPv6.MTU != 1500 || next.Delegate().GuestMTU != 1500 {
		t.Errorf("the offer is %+v", d.OfferIPv6)
	}
}

// TestReviseKeepsTheDevice checks that a takeover with other settings keeps the MTU with which the guest's device was opened.
func TestReviseKeepsTheDevice(t *testing.T) {
	cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
	p, err := resolve(cfg, identity(), &environment{})
	if err != nil {
		t.Fatal(err)
	}
	for _, mtu := range []int{1400, 9000} {
		id := identity()
		id.Link.MTU = mtu
		followed, _, err := Follow(p, id)
		if err != nil {
			t.Fatal(err)
		}
		revised, err := Revise(followed, cfg)
		if err != nil || revised.GuestMTU != 1500 || revised.Offer.MTU != min(mtu, 1500) {
			t.Errorf("MTU %d: the plan is %+v, %v", mtu, revised, err)
		}
	}
}

// TestTheGuestKeepsWhatItKnows checks that neither a change of the pod interface nor a takeover with settings after it changes the router MAC, the only
// MAC that the guest may use, and the addresses of the servers, also where they are told as name servers.
func TestTheGuestKeepsWhatItKnows(t *testing.T) {
	cfg := Config{Settings: Settings{VM: model.Default(), PodMAC: true}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
	dual := func() *podnet.Identity {
		id := identityOf(podnet.IPv4, podnet.IPv6)
		id.Resolv.NameServers = []netip.Addr{netip.MustParseAddr("127.0.0.53"), netip.MustParseAddr("::1")}
		return id
	}
	p, err := resolve(cfg, dual(), &environment{})
	if err != nil {
		t.Fatal(err)
	}
	id := dual()
	id.Link.MAC[5] = 8
	id.Routes[0].Gateway = serverAddress
	followed, _, err := Follow(p, id)
	if err != nil {
		t.Fatal(err)
	}
	revised, err := Revise(followed, cfg)
	if err != nil {
		t.Fatal(err)
	}
	known := func(p *Plan) string {
		return fmt.Sprint(p.RouterMAC, p.PinnedMAC, p.Server, p.Offer.Server, p.Offer.NameServers, p.OfferIPv6.Router(), p.OfferIPv6.NameServers)
	}
	for name, next := range map[string]*Plan{"followed": followed, "revised": revised} {
		if known(next) != known(p) {
			t.Errorf("%s: the guest knows %s; want %s", name, known(next), known(p))
		}
		if next.Delegate().WireMAC[5] != 8 {
			t.Errorf("%s: the wire MAC is %v", name, next.Delegate().WireMAC)
		}
	}
}

// TestFollowRefusesAll checks that a pod interface which no plan is possible for leaves the plan as it is.
func TestFollowRefusesAll(t *testing.T) {
	p, err := resolve(Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}, identity(), &environment{})
	if err != nil {
		t.Fatal(err)
	}
	id := identity()
	for len(id.Routes) <= maxRoutes {
		id.Routes = append(id.Routes, id.Routes...)
	}
	if next, _, err := Follow(p, id); next != nil || err == nil || !strings.Contains(err.Error(), "at most 40000 routes") {
		t.Errorf("Follow = %v, %v", next, err)
	}
}
