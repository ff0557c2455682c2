package dataplane

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/unixport"
	"github.com/podswitch/podswitch/vswitch"
)

// fullPlan returns a plan that sets every field that a switch needs.
func fullPlan(t *testing.T) *plan.Plan {
	t.Helper()
	p := delegatePlan(t)
	gateway, everywhere := netip.MustParseAddr("10.244.1.1"), netip.MustParsePrefix("0.0.0.0/0")
	offer, warnings, err := dhcpsrv.NewOffer(dhcpsrv.Offer{
		Address: p.Address, Server: p.Server, Gateway: gateway, Routes: []dhcpsrv.Route{{Destination: everywhere, Gateway: gateway}}, MTU: 1400,
		NameServers: []netip.Addr{p.Server}, Domain: "a.example", Search: []string{"a.example", "example"}, HostName: "pod-0", Lease: time.Hour,
		Expires: time.Now().Add(time.Hour), Deprecated: time.Now().Add(time.Minute),
		BootFileName: "boot", TFTPServerName: "10.0.0.9", NTPServers: []netip.Addr{gateway}, Private: []dhcpsrv.PrivateOption{{Code: 224, Value: "x y"}},
		Subnet: dhcpsrv.SubnetWide, BootFiles: []dhcpsrv.BootFile{{UserClass: "iPXE", Architecture: new(uint16), Name: "script"}},
		Extra: []dhcpsrv.ExtraOption{{Code: 43, Value: []byte{6, 1, 8}}},
	})
	if err != nil || warnings != nil {
		t.Fatal(err, warnings)
	}
	fullOfferIPv6(t, p)
	p.Offer, p.PinnedMAC, p.RelayDNS = offer, vswitch.MAC{2, 0, 0, 0, 0, 9}, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.53:53")}
	p.Rules = []vswitch.Rule{{Destination: netip.MustParsePrefix("10.0.0.0/8"), Protocol: 6, Port: 22}, {Destination: everywhere, Allow: true}}
	p.Egress = &podnet.Egress{Address: netip.MustParseAddr("169.254.75.11"), MAC: podnet.MAC{2, 9}}
	p.KeptPorts = append(p.KeptPorts, plan.KeptPort{Network: "udp", Port: 5353, Target: "127.0.0.1:53", Proxy: true},
		plan.KeptPort{Network: "tcp", Port: 81, Direct: true}, plan.KeptPort{Network: "udp", Port: 82, Direct: true})
	id := p.Identity
	id.Link.NoARP = true
	id.Routes = []podnet.Route{{Dst: everywhere, Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST, Link: id.Link.Index, Gateway: gateway,
		Metric: 5, Metrics: podnet.Metrics{"mtu": 1400, "advmss": 1300}}}
	id.Neighbours = []podnet.Neighbour{{Address: gateway, MAC: podnet.MAC{2, 1}, State: unix.NUD_PERMANENT}}
	return p
}

// fullOfferIPv6 adds an IPv6 address, and all that the guest is told about IPv6.
func fullOfferIPv6(t *testing.T, p *plan.Plan) {
	t.Helper()
	p.AddressIPv6 = netip.MustParsePrefix("fd00:10:244:1::7/64")
	server := netip.MustParseAddr("fd00::53")
	offer, warnings, err := dhcpsrv.NewOffer6(dhcpsrv.Offer6{
		Address: p.AddressIPv6.Addr(), RouterMAC: dhcpsrv.MAC(p.RouterMAC), Routes: []netip.Prefix{netip.MustParsePrefix("fd00:10::/32")}, MTU: 1400,
		NameServers: []netip.Addr{server}, Search: []string{"a.example"}, Lease: time.Hour, Expires: time.Now().Add(time.Hour), Deprecated: time.Now().Add(time.Minute),
		BootFileName: "boot", TFTPServerName: "boot.example", BootParameters: []string{"x"}, BootFiles: []dhcpsrv.BootFile{{UserClass: "iPXE", Architecture: new(uint16), Name: "script"}},
		NTPServers: []netip.Addr{server},
	})
	if err != nil || warnings != nil {
		t.Fatal(err, warnings)
	}
	p.OfferIPv6 = offer
	p.Identity.Addresses = append(p.Identity.Addresses, podnet.Address{Prefix: p.AddressIPv6})
}

// travels returns a description as it arrives in another process.
func travels(t *testing.T, sent grant.Forwarder) (got grant.Forwarder) {
	t.Helper()
	text, err := json.Marshal(sent)
	if err == nil {
		err = json.Unmarshal(text, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// everythingSet fails the test if a field has the zero value, because the test could not detect its loss.
func everythingSet(t *testing.T, value any, but ...string) {
	t.Helper()
	v := reflect.Indirect(reflect.ValueOf(value))
fields:
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		for _, other := range but {
			if name == other {
				continue fields
			}
		}
		if v.Field(i).IsZero() {
			t.Errorf("%s: the example does not set %s", v.Type(), name)
		}
	}
}

var compared = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, netip.AddrPort{}, vswitch.MAC{}), cmp.Exporter(func(reflect.Type) bool { return true })}

// TestReadDelegate: the plan of IP mode arrives in full.
func TestReadDelegate(t *testing.T) {
	p := fullPlan(t)
	p.Mute = true
	want := p.Delegate()
	everythingSet(t, want, "OnUse")
	everythingSet(t, p.Offer, "wide") // not used with SubnetWide
	everythingSet(t, want.Routes[0])
	everythingSet(t, want.Permanent[0])
	everythingSet(t, want.Rules[0], "Allow")
	got, err := readDelegate(travels(t, p.Wire()).Delegate)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.forwarder.Advertisement) != len(want.Advertisement) {
		t.Errorf("the advertisement is %x, want %x but for lifetimes", got.forwarder.Advertisement, want.Advertisement)
	}
	want.Advertisement, got.forwarder.Advertisement = nil, nil
	if diff := cmp.Diff(want, got.forwarder, compared...); diff != "" {
		t.Errorf("the forwarder: -planned +read:\n%s", diff)
	}
	if want := []grant.KeptPort{{Network: "tcp", Port: 80}, {Network: "udp", Port: 5353, Proxy: true},
		{Network: "tcp", Port: 81, Direct: true}, {Network: "udp", Port: 82, Direct: true}}; !slices.Equal(got.keep, want) {
		t.Errorf("kept ports %+v, want %+v", got.keep, want)
	}
	// Lifetimes travel in seconds.
	if diff := cmp.Diff(p.Offer, got.offer, append(compared, cmpopts.EquateApproxTime(5*time.Second))...); diff != "" {
		t.Errorf("the offer: -planned +read:\n%s", diff)
	}
	everythingSet(t, p.OfferIPv6)
	if diff := cmp.Diff(p.OfferIPv6, got.offerIPv6, append(compared, cmpopts.EquateApproxTime(5*time.Second))...); diff != "" {
		t.Errorf("the IPv6 offer: -planned +read:\n%s", diff)
	}
	if diff := cmp.Diff(p.RelayDNS, got.relayDNS, compared...); diff != "" || got.holdAfter != p.HoldAfter {
		t.Errorf("held after %s; name servers: -planned +read:\n%s", got.holdAfter, diff)
	}
	status := control.Status{IPv6: &control.FamilyStatus{Address: "fd00:10:244:1::7/64", Router: "fe80::ab:ff:fe00:1", MTU: 1400}, Address: "10.244.1.7/24", Gateway: "10.244.1.1", WireMAC: wireMAC, RouterMAC: routerMAC, MTU: 1400,
		Settings: &control.Settings{Method: "bridge.delegateIp", PinnedMAC: p.PinnedMAC, Mute: true, Keep: []string{"tcp/80", "udp/5353,proxy", "tcp/81,from=client", "udp/82,from=client"}, Rules: p.Rules, HoldAfter: p.HoldAfter}}
	if diff := cmp.Diff(status, got.status, compared...); diff != "" {
		t.Errorf("the status: -want +got:\n%s", diff)
	}
}

// TestReadBridge: the configuration of a learning switch arrives in full, at a pod and between plain devices.
func TestReadBridge(t *testing.T) {
	p := fullPlan(t)
	p.Method = "bridge"
	config := vswitch.BridgeConfig{Ports: 3, Ageing: time.Minute, Limit: 7, MaxFrame: 1514, Upstream: 1, Pinned: wireMAC, PinnedPort: 2, GroupForward: 1 << 14, ProbeID: 1 << 63}
	everythingSet(t, config)
	for name, c := range map[string]struct {
		wire grant.Forwarder
		want vswitch.BridgeConfig
	}{
		"at a pod":        {p.Wire(), p.Bridge()},
		"between devices": {grant.Forwarder{Bridge: plan.WireBridge(config)}, config},
	} {
		w := travels(t, c.wire)
		got, err := readBridge(w.Bridge)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got, compared...); diff != "" {
			t.Errorf("%s: -planned +read:\n%s", name, diff)
		}
		if w.Delegate != nil || (w.Bridge.Pod == nil) != (name == "between devices") {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

// TestReadPorts: the descriptions of a device and of a socket are read in full.
func TestReadPorts(t *testing.T) {
	device := tap.Device{FD: 7, Name: "tap0", Link: "tap0", Kind: tap.KindTap, HeaderLen: 12, Offload: true}
	everythingSet(t, device, "Merge", "Events", "Drops") // not on the wire: each process has its own
	if got := readDevice(7, &grant.Device{Name: "tap0", Link: "tap0", Kind: "tap", HeaderLen: 12, Offload: true}); got != device {
		t.Errorf("the device is %+v, want %+v", got, device)
	}
	socket := unixport.Socket{FD: 7, Type: "dgram", Listening: true, Connected: true, Remote: "/a"}
	everythingSet(t, socket)
	if got := readSocket(7, wireSocket(socket)); got != socket {
		t.Errorf("the socket is %+v, want %+v", got, socket)
	}
}
