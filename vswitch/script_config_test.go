package vswitch_test

import (
	"maps"
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// configure reads a line before the steps.
func (s *script) configure(w *words) {
	word := w.next("a word")
	switch {
	case len(s.steps) > 0:
		w.fail("%q behind the first step; a line of the configuration, or a step without its time", word)
	case word == "name":
		name := w.next("a name")
		s.names[name] = w.mac()
	case word == "bridge" && s.ports == nil:
		s.isBridge, s.ports, w.left = true, w.left, nil
		s.bridge = vswitch.BridgeConfig{Ports: len(s.ports), Ageing: 300 * time.Second, Limit: 4096, Upstream: -1}
	case word == "delegate" && s.ports == nil:
		s.defaultDelegate()
	case s.ports == nil:
		w.fail("unknown word %q, want bridge or delegate first", word)
	case s.isBridge:
		s.configureBridge(w, word)
	default:
		s.configureDelegate(w, word)
	}
}

func (s *script) configureBridge(w *words, word string) {
	switch word {
	case "ageing":
		s.bridge.Ageing = w.duration()
	case "limit":
		s.bridge.Limit = w.number(word, 1<<20)
	case "max-frame":
		s.bridge.MaxFrame = w.number(word, vswitch.MaxFrame)
	case "upstream":
		s.bridge.Upstream = s.port(w)
	case "group-forward":
		s.bridge.GroupForward = uint16(w.number(word, 0xffff))
	case "probe-id":
		s.bridge.ProbeID = uint64(w.number(word, 1<<31-1))
	case "pinned":
		s.bridge.PinnedPort, s.bridge.Pinned = s.port(w), w.mac()
	default:
		w.fail("unknown word %q, want ageing, limit, max-frame, upstream, group-forward, probe-id, pinned or name", word)
	}
}

// defaultDelegate is a pod on flannel; testdata/README.md has the same table.
func (s *script) defaultDelegate() {
	maps.Copy(s.names, map[string]vswitch.MAC{
		"wire": {0x0a, 0x58, 0x0a, 0xf4, 1, 7}, "router": {2, 0, 0, 0, 0, 0xfe}, "guest": {2, 0, 0, 0, 0, 1},
		"gw": {0x0a, 0x58, 0x0a, 0xf4, 1, 1}, "peer": {0x0a, 0x58, 0x0a, 0xf4, 1, 9},
	})
	s.ports = []string{"guest", "wire", "pod", "server"}
	gateway := netip.MustParseAddr("10.244.1.1")
	s.delegate = vswitch.DelegateConfig{
		WireMAC: s.names["wire"], RouterMAC: s.names["router"],
		Address: netip.MustParsePrefix("10.244.1.7/24"), Gateway: gateway, Server: netip.MustParseAddr("169.254.75.1"),
		MTU: 1450, GuestMTU: 1450,
		Routes: []vswitch.Route{
			{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: gateway},
			{Destination: netip.MustParsePrefix("10.244.0.0/16"), Gateway: gateway},
			{Destination: netip.MustParsePrefix("10.244.1.0/24")},
		},
	}
	s.holder, s.holderMAC = vswitch.HolderGuest, s.names["guest"]
}

func (s *script) configureDelegate(w *words, word string) {
	d := &s.delegate
	switch word {
	case "wire-mac":
		d.WireMAC = w.mac()
	case "router-mac":
		d.RouterMAC = w.mac()
	case "pinned-mac":
		d.PinnedMAC = w.mac()
	case "ipv6":
		s.defaultIPv6(w)
	case "address-ipv6":
		d.AddressIPv6 = w.prefix()
	case "advertisement":
		d.Advertisement = scriptAdvertisement
	case "address":
		d.Address = w.prefix()
	case "gateway":
		if d.Gateway = (netip.Addr{}); !w.accept("none") {
			d.Gateway = w.ip()
		}
	case "server":
		d.Server = w.ip()
	case "mtu":
		d.MTU = w.number(word, 65535)
	case "guest-mtu":
		d.GuestMTU = w.number(word, 65535)
	case "route":
		s.route(w)
	case "permanent":
		if w.accept("none") {
			d.Permanent = nil
			return
		}
		d.Permanent = append(d.Permanent, vswitch.Neighbour{Addr: w.anyIP(), MAC: w.mac()})
	case "neighbour":
		s.heard = append(s.heard, vswitch.Neighbour{Addr: w.anyIP(), MAC: w.mac()})
	case "no-arp":
		d.NoARP = true
	case "deny", "allow":
		s.rule(w, word == "allow")
	case "keep":
		d.KeptTCP = append(d.KeptTCP, uint16(w.number("a port", 65535)))
	case "keep-udp":
		d.KeptUDP = append(d.KeptUDP, uint16(w.number("a port", 65535)))
	case "refuse":
		d.Refuse = true
	case "egress":
		d.Egress, d.EgressMAC, s.ports = w.ip(), w.mac(), append(s.ports, "egress")
	case "direct":
		port := uint16(w.number("a port", 65535))
		d.KeptTCP, d.DirectTCP = append(d.KeptTCP, port), append(d.DirectTCP, port)
	case "direct-udp":
		port := uint16(w.number("a port", 65535))
		d.KeptUDP, d.DirectUDP = append(d.KeptUDP, port), append(d.DirectUDP, port)
	case "holder":
		s.holder, s.holderMAC = s.readHolder(w), vswitch.MAC{}
		if w.peek() != "" {
			s.holderMAC = w.mac()
		}
	default:
		w.fail("unknown word %q, want a line of the configuration as testdata/README.md has them", word)
	}
}

// route reads: none, or PREFIX [via IP] [mtu N] [advmss N] [metric N]. The first one replaces the default routes.
func (s *script) route(w *words) {
	if !s.routed {
		s.routed, s.delegate.Routes = true, nil
	}
	if w.accept("none") {
		s.delegate.Routes = nil
		return
	}
	r := vswitch.Route{Destination: w.prefix()}
	if w.accept("via") {
		r.Gateway = w.anyIP()
	}
	if w.accept("mtu") {
		r.MTU = w.number("an MTU", 65535)
	}
	if w.accept("advmss") {
		r.AdvMSS = w.number("an MSS", 1<<31-1)
	}
	if w.accept("metric") {
		r.Metric = w.number("a metric", 1<<31-1)
	}
	s.delegate.Routes = append(s.delegate.Routes, r)
}

// rule reads: PREFIX [port N [tcp]].
func (s *script) rule(w *words, allow bool) {
	r := vswitch.Rule{Destination: w.prefix(), Allow: allow}
	if w.accept("port") {
		r.Port = uint16(w.number("a port", 65535))
		if w.accept("tcp") {
			r.Protocol = 6
		}
	}
	s.delegate.Rules = append(s.delegate.Rules, r)
}
