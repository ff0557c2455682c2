package plan

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// identity returns a pod of a bridge plugin, which tests may change.
func identity() *podnet.Identity {
	address := func(cidr string) podnet.Address { return podnet.Address{Prefix: netip.MustParsePrefix(cidr)} }
	return &podnet.Identity{
		Link:      podnet.Link{Name: "eth0", Index: 2, MAC: podnet.MAC{2, 0, 0, 0, 0, 7}, MTU: 1500, Up: true, Ethernet: true, Kind: "veth"},
		Addresses: []podnet.Address{address("10.244.1.7/24")},
		Routes: []podnet.Route{
			{Dst: netip.MustParsePrefix("0.0.0.0/0"), Table: mainTable, Type: unix.RTN_UNICAST, Link: 2, Gateway: netip.MustParseAddr("10.244.1.1")},
			{Dst: netip.MustParsePrefix("10.244.1.0/24"), Table: mainTable, Type: unix.RTN_UNICAST, Link: 2, Scope: unix.RT_SCOPE_LINK},
		},
	}
}

// TestHoldWarnings: a hold after the end of the keeper that has no effect is a warning that says why.
func TestHoldWarnings(t *testing.T) {
	bridge, err := model.Parse([]byte("spec: {devices: {interfaces: [{name: a, bridge: {}}]}, networks: [{name: a, pod: {}}]}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		vm   *model.VM
		mute bool
		kind string
		hold time.Duration
		want string // empty: no warning
	}{
		"move":         {model.Default(), false, "veth", time.Second, ""},
		"mute":         {model.Default(), true, "veth", time.Second, "--hold-keeper 1s has no effect: the address stays on eth0"},
		"ipvlan":       {model.Default(), false, "ipvlan", time.Second, "--hold-keeper 1s has no effect: the address stays on eth0"},
		"plain bridge": {bridge, false, "veth", time.Second, "--hold-keeper 1s has no effect: with a plain bridge"},
		"mute, unset":  {model.Default(), true, "veth", 0, ""},
	} {
		id := identity()
		id.Link.Kind = c.kind
		cfg := Config{Settings: Settings{VM: c.vm}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}, Mute: c.mute, HoldKeeper: c.hold}
		p, err := resolve(cfg, id, &environment{})
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(p.Warnings, "\n"); strings.Contains(text, "--hold-keeper") != (c.want != "") || !strings.Contains(text, c.want) {
			t.Errorf("%s: warnings %q, want %q", name, text, c.want)
		}
	}
}

// TestFindings checks the findings and warnings for each property of a pod interface, and that an ordinary one has none.
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name         string
		change       func(id *podnet.Identity)
		finds, warns string // a part of the only sentence; empty: none
	}{
		{"ordinary", func(*podnet.Identity) {}, "", ""},
		{"BIG TCP", func(id *podnet.Identity) { id.Link.BigTCP = true }, "TCP packets above 64 KiB", ""},
		{"no ARP", func(id *podnet.Identity) { id.Link.NoARP = true }, "has no ARP", ""},
		{"link-local gateway", func(id *podnet.Identity) {
			id.Addresses[0].Prefix = netip.MustParsePrefix("10.244.1.7/32")
			id.Routes[0].Gateway = netip.MustParseAddr("169.254.1.1")
		}, "169.254.1.1 is outside 10.244.1.7/32", ""},
		{"permanent neighbour", func(id *podnet.Identity) {
			id.Neighbours = []podnet.Neighbour{{Address: netip.MustParseAddr("10.244.1.1"), MAC: podnet.MAC{2, 1}, State: unix.NUD_PERMANENT}}
		}, "the switch does not resolve it", ""},
		{"MAC of the address", func(id *podnet.Identity) { id.Link.MAC = podnet.MAC{0x0a, 0x58, 10, 244, 1, 7} }, "derived from the pod address", ""},
		{"route MTU", func(id *podnet.Identity) { id.Routes[0].Metrics = podnet.Metrics{"mtu": 1450} }, "has MTU 1450, the link has MTU 1500", ""},
		{"largest MTU of a tap", func(id *podnet.Identity) { id.Link.MTU = 65521 }, "", ""},
		{"MTU above that of a tap", func(id *podnet.Identity) { id.Link.MTU = 65522 }, "a tap carries 65521 at most: the guest gets MTU 65521", ""},
		{"route MTU below that of a tap", func(id *podnet.Identity) { id.Link.MTU, id.Routes[0].Metrics = 65535, podnet.Metrics{"mtu": 9000} }, "the guest gets MTU 9000", ""},
		{"ipvlan", func(id *podnet.Identity) { id.Link.Kind = "ipvlan" }, "delivers frames by its addresses", ""},
		{"several addresses", func(id *podnet.Identity) {
			id.Addresses = append(id.Addresses, podnet.Address{Prefix: netip.MustParsePrefix("10.244.1.9/24")})
		}, "", "10.244.1.9/24 is not delegated"},
		{"policy routing", func(id *podnet.Identity) {
			r := id.Routes[0]
			r.Table = 100
			id.Routes = append(id.Routes, r, r)
		}, "", "table 100"},
		{"no default route", func(id *podnet.Identity) { id.Routes = id.Routes[1:] }, "", "no default route"},
		{"default route without a gateway", func(id *podnet.Identity) { id.Routes[0].Gateway = netip.Addr{} }, "", ""},
		{"IPv6 next hop", func(id *podnet.Identity) {
			r := id.Routes[1]
			r.Dst, r.Gateway = netip.MustParsePrefix("10.9.0.0/16"), netip.MustParseAddr("fe80::1")
			id.Routes = append(id.Routes, r)
		}, "", "10.9.0.0/16 has an IPv6 next hop"},
		{"small MTU", func(id *podnet.Identity) { id.Link.MTU = 500 }, "the kernel has no IPv6 there", "below 576"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := identity()
			c.change(id)
			p := planOf(id, environment{})
			onlySentence(t, "findings", findings(p), c.finds)
			onlySentence(t, "warnings", warnings(p), c.warns)
		})
	}
}

// planOf returns a plan for an identity, as far as findings and warnings need it.
func planOf(id *podnet.Identity, env environment) *Plan {
	p := &Plan{Identity: id, GuestMTU: min(id.Link.MTU, 65521), env: &env}
	p.Address, _ = id.PodAddress(podnet.IPv4)
	p.AddressIPv6, _ = id.PodAddress(podnet.IPv6)
	return p
}

// TestManyPermanentNeighbours checks that there is a warning if the forwarder cannot cache all neighbours, and a finding for each that it
// caches. A link without ARP needs no neighbours.
func TestManyPermanentNeighbours(t *testing.T) {
	for _, c := range []struct {
		name          string
		count         int
		proxies       int
		noARP         bool
		cached, warns int // sentences
	}{
		{"as many as the limit", vswitch.NeighbourLimit, 0, false, vswitch.NeighbourLimit, 0},
		{"one more", vswitch.NeighbourLimit + 1, 0, false, vswitch.NeighbourLimit, 1},
		{"a proxy, which is not a next hop", vswitch.NeighbourLimit, 1, false, vswitch.NeighbourLimit, 0},
		{"a link without ARP", vswitch.NeighbourLimit + 1, 0, true, vswitch.NeighbourLimit, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := identity()
			id.Link.NoARP = c.noARP
			next := netip.MustParseAddr("10.244.2.1")
			for i := range c.count + c.proxies {
				id.Neighbours = append(id.Neighbours, podnet.Neighbour{Address: next, MAC: podnet.MAC{2, 1}, State: unix.NUD_PERMANENT, Proxy: i >= c.count})
				next = next.Next()
			}
			p := planOf(id, environment{})
			cached, warns := matching(findings(p), "permanent neighbour entry"), matching(warnings(p), "permanent neighbours")
			if cached != c.cached || warns != c.warns {
				t.Errorf("%d neighbours, %d warnings; want %d and %d", cached, warns, c.cached, c.warns)
			}
		})
	}
}

// matching returns the number of sentences that contain part.
func matching(sentences []string, part string) (n int) {
	for _, sentence := range sentences {
		if strings.Contains(sentence, part) {
			n++
		}
	}
	return n
}

// TestFirewalls checks nftables tables of the pod: the switch applies the known one, and plan warns of others.
func TestFirewalls(t *testing.T) {
	tables := []string{blockTable, "mesh"}
	p := planOf(identity(), environment{tables: tables})
	onlySentence(t, "findings", findings(p), "the switch applies the same rules")
	onlySentence(t, "warnings", warnings(p), `"mesh" does not apply`)
	deny := []DenyRule{{Destination: netip.MustParsePrefix("10.0.0.0/8"), Port: 80}}
	if got := rules(deny, []vswitch.Rule{{Destination: netip.MustParsePrefix("10.66.0.0/16")}}, tables); len(got) != 2+len(openShiftRules()) || got[0].Port != 80 {
		t.Errorf("rules %+v", got)
	}
	if got := rules(deny, nil, nil); len(got) != 1 {
		t.Errorf("rules %+v", got)
	}
}

// TestOpenShiftRules checks that the guest reaches exactly the destinations that the firewall allows, with all frames of a connection.
func TestOpenShiftRules(t *testing.T) {
	const syn, ack, fin = 2, 16, 1
	d := vswitch.NewDelegate(vswitch.DelegateConfig{
		Address: netip.MustParsePrefix("10.244.1.7/24"), Server: netip.MustParseAddr("169.254.75.1"), MTU: 1450, GuestMTU: 1450,
		Routes: []vswitch.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0")}}, NoARP: true, Rules: openShiftRules(),
	})
	d.IPv4.SetHolder(vswitch.HolderGuest, vswitch.MAC{2, 0, 0, 0, 0, 1})
	var counters vswitch.Counters
	for _, c := range []struct {
		name     string
		to       string
		protocol uint8
		port     uint16
		flags    uint8
		leaves   bool
	}{
		{"the machine configuration server", "10.0.0.1", 6, 22623, syn, false},
		{"its other port", "10.0.0.1", 6, 22624, syn, false},
		{"an answer to such a port", "10.0.0.1", 6, 22623, syn | ack, true},
		{"a VXLAN of the pod", "10.0.0.1", 17, 4789, 0, false},
		{"another service", "10.0.0.1", 6, 443, syn, true},
		{"a question to the cloud's name server", "169.254.169.254", 17, 53, 0, true},
		{"the same by TCP", "169.254.169.254", 6, 53, syn, true},
		{"its handshake", "169.254.169.254", 6, 53, ack, true},
		{"its end", "169.254.169.254", 6, 53, fin | ack, true},
		{"the cloud's metadata", "169.254.169.254", 6, 80, syn, false},
		{"the same within a connection", "169.254.169.254", 6, 80, ack, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, left := vswitch.NewOut(4, &counters), 0
			d.Forward(vswitch.PortGuest, []vswitch.Frame{{Data: frameTo(c.to, c.protocol, c.port, c.flags)}}, 0, out)
			out.Flush(func(port int, frames []vswitch.Frame) {
				if port == vswitch.PortUplink {
					left += len(frames)
				}
			})
			if (left == 1) != c.leaves {
				t.Errorf("%d frames leave", left)
			}
		})
	}
}

// frameTo returns a frame of the guest to a port, without payload.
func frameTo(address string, protocol uint8, port uint16, flags uint8) []byte {
	b := make([]byte, 54)
	copy(b, "\x02\x00\x00\x00\x00\xfe\x02\x00\x00\x00\x00\x01\x08\x00\x45\x00\x00\x28")
	b[22], b[23] = 64, protocol
	copy(b[26:], netip.MustParseAddr("10.244.1.7").AsSlice())
	copy(b[30:], netip.MustParseAddr(address).AsSlice())
	binary.BigEndian.PutUint16(b[24:], vnet.Checksum(b[14:34], 0))
	binary.BigEndian.PutUint16(b[34:], 40000)
	binary.BigEndian.PutUint16(b[36:], port)
	if protocol == 17 {
		b[39] = 20
	} else {
		b[46], b[47] = 0x50, flags
	}
	return b
}

// TestUnreachableRules checks that prefix length and metric decide between unreachable routes and those of the uplink, as in the
// kernel.
func TestUnreachableRules(t *testing.T) {
	route := func(text string, metric uint32) podnet.Route {
		return podnet.Route{Dst: netip.MustParsePrefix(text), Metric: metric}
	}
	uplink := []podnet.Route{route("10.244.1.0/24", 0), route("10.244.0.0/16", 5), route("0.0.0.0/0", 0)}
	for name, c := range map[string]struct {
		denied []podnet.Route
		want   string
	}{
		"none":                         {nil, ""},
		"beside what the uplink has":   {[]podnet.Route{route("169.254.169.254/32", 0)}, "-169.254.169.254/32"},
		"around what the uplink has":   {[]podnet.Route{route("10.0.0.0/8", 0)}, "+10.244.1.0/24 +10.244.0.0/16 -10.0.0.0/8"},
		"within what the uplink has":   {[]podnet.Route{route("10.244.1.128/25", 0)}, "-10.244.1.128/25"},
		"between":                      {[]podnet.Route{route("10.244.0.0/20", 0)}, "+10.244.1.0/24 -10.244.0.0/20"},
		"a default of a higher metric": {[]podnet.Route{route("0.0.0.0/0", 4278198272)}, ""},
		"a lower metric":               {[]podnet.Route{route("10.244.0.0/16", 4)}, "+10.244.1.0/24 -10.244.0.0/16"},
		"twice":                        {[]podnet.Route{route("10.9.0.0/16", 4), route("10.9.0.0/16", 2)}, "-10.9.0.0/16"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, r := range unreachableRules(c.denied, uplink) {
				got = append(got, map[bool]string{true: "+", false: "-"}[r.Allow]+r.Destination.String())
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s; want %s", got, c.want)
			}
		})
	}
}

func onlySentence(t *testing.T, what string, sentences []string, part string) {
	t.Helper()
	switch {
	case part == "" && len(sentences) > 0:
		t.Errorf("%s: %q, want nothing", what, sentences)
	case part != "" && (len(sentences) != 1 || !strings.Contains(sentences[0], part)):
		t.Errorf("%s: %q, want one sentence with %q", what, sentences, part)
	}
}

func TestParseDenyRule(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8:80": "10.0.0.0/8:80", "169.254.169.254": "169.254.169.254/32", "0.0.0.0/0:65535": "0.0.0.0/0:65535",
		"": "", "10.0.0.0/33": "", "10.0.0.0/8:0": "", "10.0.0.0/8:65536": "", "10.0.0.0/8:": "", "fd00::/8": "fd00::/8", "host": "",
		"fd00:1::9/32": "fd00:1::/32", "fd00::1": "fd00::1/128", "[fd00::1]:443": "[fd00::1/128]:443", "[fd00::/8]:1": "[fd00::/8]:1", "[fd00::1]": "fd00::1/128",
		"fd00::1:443/128": "fd00::1:443/128", "fd00:0:0:0:0:0:0:443": "fd00::443/128", "fd00::a:f": "fd00::a:f/128", "[fd00::1]443": "", "[fd00::1]:": "", "[fd00::1": "", "fd00::1]:443": "", "[fd00::1]:0": "", "[]:443": "", "fd00::/8:443": "", "fd00::1%eth0": "", "::ffff:10.0.0.1": "", "fd00::/129": "",
	} {
		d, err := ParseDenyRule(text)
		if want == "" && err == nil || want != "" && (err != nil || d.String() != want) {
			t.Errorf("%q: %s, %v; want %q", text, d, err, want)
		}
	}
	for text, want := range map[string]string{
		"fd00::1:443":  "want [fd00::1]:443 for a port, or fd00::1:443/128 for the address",
		"fd00::a:b:53": "want [fd00::a:b]:53 for a port, or fd00::a:b:53/128 for the address",
		"fd00::/8:443": "or [fd00::/8]:443",
	} {
		if d, err := ParseDenyRule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, %v; want %q", text, d, err, want)
		}
	}
}

// TestOtherRouting checks the warnings about routing of the pod that does not apply to the guest.
func TestOtherRouting(t *testing.T) {
	for part, routing := range map[string]podnet.OtherRouting{
		"table 9": {Rules: []string{"from 10.0.0.1 table 9"}}, "interface 3": {Routes: []string{"10.88.0.0/16 by interface 3"}},
	} {
		onlySentence(t, "warnings", warnings(planOf(identity(), environment{routing: routing})), part)
	}
}

// TestResolve checks which settings exclude each other, and that an ipvlan is muted without --address mute.
func TestResolve(t *testing.T) {
	bridge := model.Default()
	bridge.Interface.Method = model.Bridge
	guest := hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}
	podMAC := vswitch.MAC(identity().Link.MAC)
	for _, c := range []struct {
		name   string
		cfg    Config
		change func(id *podnet.Identity)
		fault  string
		mute   bool
	}{
		{"ordinary", Config{Settings: Settings{VM: model.Default()}, Guest: guest}, nil, "", false},
		{"ipvlan", Config{Settings: Settings{VM: model.Default()}, Guest: guest}, func(id *podnet.Identity) { id.Link.Kind = "ipvlan" }, "", true},
		{"asked to mute", Config{Settings: Settings{VM: model.Default()}, Guest: guest, Mute: true}, nil, "", true},
		{"the pod interface as guest", Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindPacket, Name: "eth0"}}, nil, "itself", false},
		{"bridge and kept port", Config{Settings: Settings{VM: bridge, KeptPorts: []KeptPort{{Network: "tcp", Port: 80}}}, Guest: guest}, nil, "delegateIp", false},
		{"bridge and mute", Config{Settings: Settings{VM: bridge}, Guest: guest, Mute: true}, nil, "delegateIp", false},
		{"bridge and the pod's MAC", Config{Settings: Settings{VM: bridge, PodMAC: true}, Guest: guest}, nil, "plain bridge", false},
		{"bridge and the pod's MAC by number", Config{Settings: Settings{VM: bridge, PinnedMAC: podMAC}, Guest: guest}, nil, "plain bridge", false},
		{"no MAC", Config{Settings: Settings{VM: model.Default(), PodMAC: true}, Guest: guest}, func(id *podnet.Identity) { id.Link.MAC = podnet.MAC{} }, "with a MAC", false},
		{"too many routes", Config{Settings: Settings{VM: model.Default()}, Guest: guest}, func(id *podnet.Identity) {
			for len(id.Routes) <= maxRoutes {
				id.Routes = append(id.Routes, id.Routes...)
			}
		}, "at most 40000 routes", false},
		{"no address", Config{Settings: Settings{VM: model.Default()}, Guest: guest}, func(id *podnet.Identity) { id.Addresses = nil }, "plain bridge works", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := identity()
			if c.change != nil {
				c.change(id)
			}
			p, err := resolve(c.cfg, id, nil)
			switch {
			case c.fault == "" && err != nil:
				t.Error(err)
			case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
				t.Errorf("%v, want %q", err, c.fault)
			case c.fault == "" && p.Mute != c.mute:
				t.Errorf("mute %v", p.Mute)
			}
		})
	}
}
