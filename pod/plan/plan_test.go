package plan

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
)

// TestPlanReadsBack checks that a plan survives its JSON, which podswitch replay reads, with the configuration of its forwarder.
func TestPlanReadsBack(t *testing.T) {
	bridge, err := model.Parse([]byte("spec: {devices: {interfaces: [{name: a, bridge: {}}]}, networks: [{name: a, pod: {}}]}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, vm := range map[string]*model.VM{"delegate": model.Default(), "bridge": bridge} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Settings: Settings{VM: vm, HoldAfter: time.Minute}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
			if vm != bridge {
				cfg.KeptPorts = []KeptPort{{Network: "tcp", Port: 80, Target: "127.0.0.1:80"}}
				cfg.DenyRules = []DenyRule{{Destination: netip.MustParsePrefix("10.0.0.0/8"), Port: 22}}
			}
			id := identity()
			id.HostName, id.Resolv = "pod-0", podnet.Resolv{NameServers: []netip.Addr{netip.MustParseAddr("127.0.0.53")}, Search: []string{"a.example"}}
			p, err := resolve(cfg, id, &environment{tables: []string{blockTable}})
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var back Plan
			if err := json.Unmarshal(text, &back); err != nil {
				t.Fatal(err)
			}
			ignore := cmp.Options{cmpopts.IgnoreUnexported(Plan{}, podnet.Egress{}), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
				cmpopts.EquateEmpty(), cmp.Exporter(func(reflect.Type) bool { return true })}
			if diff := cmp.Diff(p, &back, ignore...); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(p.Delegate(), back.Delegate(), ignore...); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRelayDNS checks that the DHCP server relays to name servers that only the pod can reach, and that the guest uses the relay.
func TestRelayDNS(t *testing.T) {
	for server, relayed := range map[string]bool{"127.0.0.53": true, "0.0.0.0": true, "::1": true, "::ffff:127.0.0.1": true, "10.96.0.10": false, "fd00::10": false} {
		id := identity()
		id.Resolv = podnet.Resolv{NameServers: []netip.Addr{netip.MustParseAddr(server)}}
		cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
		p, err := resolve(cfg, id, &environment{})
		if err != nil {
			t.Fatal(err)
		}
		if told := slices.Contains(p.Offer.NameServers, p.Server); len(p.RelayDNS) == 1 != relayed || told != relayed {
			t.Errorf("%s: relayed to %v, the guest is told %v of %s; want relayed: %t", server, p.RelayDNS, p.Offer.NameServers, p.Server, relayed)
		}
	}
}

// TestAddressLifetime checks that the switch is told the remaining lifetimes of the pod address, and that the summary shows its end.
func TestAddressLifetime(t *testing.T) {
	cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
	id := identity()
	id.Addresses[0].Valid, id.Addresses[0].Preferred = 1<<31, 1<<30 // the identity was read at the boot
	p, err := resolve(cfg, id, &environment{})
	if err != nil {
		t.Fatal(err)
	}
	o := p.Wire().Delegate.Offer
	if o.Valid < 1 || o.Valid > 1<<31 || o.Preferred < 1 || o.Preferred > 1<<30 || o.Valid-o.Preferred < 1<<29 {
		t.Errorf("the address is valid for %d seconds and preferred for %d", o.Valid, o.Preferred)
	}
	if text := strings.Join(p.Summary(), "\n"); !strings.Contains(text, "lease 24h0m0s until 2") {
		t.Errorf("the summary is\n%s", text)
	}
}

// TestMostRoutesFitIntoAMessage checks that the description of a switch with the largest number of routes can be sent.
func TestMostRoutesFitIntoAMessage(t *testing.T) {
	cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
	id := identity()
	for i := range maxRoutes - len(id.Routes) {
		r := id.Routes[0]
		r.Dst = netip.PrefixFrom(netip.AddrFrom4([4]byte{100 + byte(i>>15), 100 + byte(i>>8)&127, 100 + byte(i)&127, byte(i >> 7)}), 32)
		r.Metric, r.Metrics = 1<<31, podnet.Metrics{"mtu": 65535}
		id.Routes = append(id.Routes, r)
	}
	p, err := resolve(cfg, id, &environment{})
	if err != nil {
		t.Fatal(err)
	}
	wire, _ := json.Marshal(p.Wire())
	if len(wire) > 8<<20-64<<10 {
		t.Errorf("the description has %d bytes", len(wire))
	}
}
