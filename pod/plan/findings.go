package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// kindIPVlan is rtnetlink's name of a link that delivers frames by IP address (drivers/net/ipvlan).
const kindIPVlan = "ipvlan"

// Routing tables (linux/rtnetlink.h).
const (
	mainTable  = 254
	localTable = 255
)

// minMTUIPv6 is the least MTU of IPv6 in bytes (RFC 8200, section 5).
const minMTUIPv6 = 1280

// minReassembly is the size in bytes of a packet that every host must accept (RFC 791, section 3.1).
const minReassembly = 576

// findings returns the properties of the pod's network that decide how podswitch works, one sentence each.
func findings(p *Plan) (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	id, address, tables := p.Identity, p.Address, p.env.tables
	gateway, hasGateway := id.Gateway(podnet.IPv4)
	switch {
	case id.Link.NoARP:
		add("%s has no ARP: frames leave with its MAC as source and destination, and received frames are identified by IP address alone", id.Link.Name)
	case hasGateway && !address.Contains(gateway):
		add("the gateway %s is outside %s: the guest gets a route to it (DHCP option 121)", gateway, address.Masked())
	}
	known := permanent(id)
	for _, n := range known[:min(len(known), vswitch.NeighbourLimit)] { // neighbourWarnings has the others
		add("%s has a permanent neighbour entry with MAC %s: the switch does not resolve it", n.Addr, n.MAC)
	}
	if isDerived(id.Link.MAC, address.Addr()) {
		add("the wire MAC is derived from the pod address: the network may verify that they match, and sees no other MAC")
	}
	if p.AddressIPv6.IsValid() {
		add("a guest gets %s by DHCPv6 or by its own configuration, and not by SLAAC, also not with a token: router advertisements have no prefix for it "+
			"(without a DHCPv6 client, in the guest: ip -6 address add %[1]s/128 dev DEVICE)", p.AddressIPv6.Addr())
	}
	list = append(list, ipv6Obstacles(p)...)
	for _, a := range id.Addresses {
		if a.IsTentative() {
			add("the address %s is still tentative: run waits for the end of duplicate address detection, and ends with an error if another host has it", a.Prefix)
		}
	}
	if p.AddressIPv6.IsValid() && p.env.routing.IPv6Forwards {
		add("the pod's kernel forwards IPv6: it is kept from forwarding packets for %s", p.AddressIPv6.Addr())
	}
	if id.Link.Kind == kindIPVlan {
		add("%s is an ipvlan, which delivers frames by its addresses: the pod address stays on it, and the kernel is muted", id.Link.Name)
	}
	if id.Link.BigTCP {
		add("%s passes TCP packets above 64 KiB (BIG TCP): the switch divides those for the guest, which costs throughput", id.Link.Name)
	}
	if slices.Contains(tables, blockTable) {
		add("the pod's firewall %s does not apply to the guest: the switch applies the same rules", blockTable)
	}
	return append(list, guestMTUFindings(id, p.GuestMTU)...)
}

// ipv6Obstacles returns why the kernel has no IPv6 on the pod interface.
func ipv6Obstacles(p *Plan) (list []string) {
	link := p.Identity.Link
	if p.env.routing.IPv6Disabled {
		list = append(list, fmt.Sprintf("IPv6 is disabled on %s (net.ipv6.conf.%s.disable_ipv6): the pod has no IPv6 address, and the guest gets none", link.Name, link.Name))
	}
	if link.MTU < minMTUIPv6 && slices.Contains(p.cfg.families(), podnet.IPv6) {
		list = append(list, fmt.Sprintf("the MTU of %s is %d, and IPv6 needs %d (RFC 8200): the kernel has no IPv6 there, and the guest gets none", link.Name, link.MTU, minMTUIPv6))
	}
	return list
}

// of qualifies a noun by the family, unless it is IPv4.
func of(f podnet.Family) string {
	if f == podnet.IPv6 {
		return "IPv6 "
	}
	return ""
}

// isDerived reports whether a plugin has made the MAC of the address.
func isDerived(mac podnet.MAC, address netip.Addr) bool {
	if !address.Is4() {
		return false
	}
	ip := address.As4()
	return mac == podnet.MAC{0x0a, 0x58, ip[0], ip[1], ip[2], ip[3]}
}

// guestMTUFindings returns why the MTU of the guest differs from that of the pod interface. guestMTU is that of its device.
func guestMTUFindings(id *podnet.Identity, guestMTU int) (list []string) {
	mtu := id.Link.MTU
	for _, f := range []podnet.Family{podnet.IPv4, podnet.IPv6} {
		if m := id.MTU(f); m < id.Link.MTU {
			list = append(list, fmt.Sprintf("the %sdefault route has MTU %d, the link has MTU %d: the guest gets MTU %d", of(f), m, id.Link.MTU, min(m, guestMTU)))
			mtu = min(mtu, m)
		}
	}
	if guestMTU < mtu {
		list = append(list, fmt.Sprintf("the MTU of %s is %d, and a tap carries %d at most: the guest gets MTU %d", id.Link.Name, id.Link.MTU, guestMTU, guestMTU))
	}
	return list
}

// warnings returns the properties of the pod's network that podswitch does not carry over to the guest. Each sentence names the
// property, its effect on the guest, and a remedy.
func warnings(p *Plan) []string {
	return slices.Concat(addressWarnings(p), routingWarnings(p), neighbourWarnings(p.Identity), mtuWarnings(p.Identity))
}

// egressFinding says how the pod's own processes reach others.
func egressFinding(e *podnet.Egress) string {
	return fmt.Sprintf("the pod's own processes, such as a name server, reach other hosts by TCP and UDP through %s, as the pod address", e.Device)
}

// relayFindings say how the guest asks name servers with an IPv6 address.
func relayFindings(p *Plan) (list []string) {
	for _, s := range p.RelayDNS {
		if isIPv6Server(s.Addr()) {
			list = append(list, fmt.Sprintf("the name server %s has an IPv6 address: the guest gets %s instead, which asks it over the pod's own IPv6", s.Addr(), p.Server))
		}
	}
	return list
}

// relayWarnings are about name servers in the pod. Most are forwarders, whose own questions leave the pod from the pod address.
func relayWarnings(p *Plan) (list []string) {
	servers := onLoopback(p.RelayDNS)
	if len(servers) == 0 {
		return nil
	}
	if p.Egress == nil {
		return []string{fmt.Sprintf("the name server %s runs in the pod: if it is a forwarder, it cannot ask servers outside through %s, "+
			"and the guest gets no answers from it: %v (give podswitch, or the keeper, that device; or give the pod name servers that the guest "+
			"can ask itself: dnsPolicy and dnsConfig.nameservers)", join(servers), p.Identity.Link.Name, p.env.tapErr)}
	}
	for _, r := range p.Identity.UplinkRoutes(podnet.IPv4) {
		if p.Mute && r.Dst.IsSingleIP() {
			list = append(list, fmt.Sprintf("the name server %s cannot ask %s while the address is muted: its route cannot be replaced "+
				"(let it ask another server)", join(servers), r.Dst.Addr()))
		}
	}
	return list
}

// holdWarnings are about a hold after the end of the keeper that has no effect.
func holdWarnings(hold time.Duration, why string) []string {
	if hold == 0 {
		return nil
	}
	return []string{fmt.Sprintf("--hold-keeper %s has no effect: %s (omit it)", hold, why)}
}

// addressWarnings are about other addresses. With --address mute only the pod address is silenced, so that they stay with the pod.
func addressWarnings(p *Plan) (list []string) {
	for _, a := range p.Identity.Addresses {
		if a.Prefix != p.Address && a.Prefix != p.AddressIPv6 && !p.Mute {
			list = append(list, fmt.Sprintf("the address %s is not delegated: nothing answers for it until podswitch ends "+
				"(--address mute leaves it with the pod)", a.Prefix))
		}
	}
	return append(list, keptAddressWarnings(p.Identity)...)
}

// keptAddressWarnings are about IPv6 addresses that the guest does not get.
func keptAddressWarnings(id *podnet.Identity) (list []string) {
	for _, a := range id.Kept {
		if a.Prefix.Addr().IsGlobalUnicast() {
			list = append(list, fmt.Sprintf("the address %s stays with the pod's kernel, %s: the guest does not get it", a.Prefix, a.WhyKept()))
		}
	}
	return list
}

// routingWarnings are about routes, routing rules and firewalls, which apply to the pod's kernel and not to the guest.
func routingWarnings(p *Plan) (list []string) {
	id, env := p.Identity, p.env
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	reported := map[uint32]bool{mainTable: true, localTable: true}
	for _, r := range id.Routes {
		if !reported[r.Table] {
			reported[r.Table] = true
			add("the routes in table %d do not apply to the guest (add the ones that the guest needs to the main table)", r.Table)
		}
	}
	for _, table := range env.tables {
		if table != blockTable {
			add("the pod's nftables table %q does not apply to the guest (block the same destinations with --deny)", table)
		}
	}
	for _, rule := range env.routing.Rules {
		add("the pod's routing rule %q does not apply to the guest (add the routes that the guest needs to the main table)", strings.TrimSpace(rule))
	}
	for _, route := range env.routing.Routes {
		add("the pod's route %s does not apply to the guest, which uses %s for this destination (block it with --deny)", route, id.Link.Name)
	}
	for _, r := range id.UplinkRoutes(podnet.IPv4) {
		if r.HasIPv6Gateway(id.Link.Index) {
			add("the route to %s has an IPv6 next hop: the guest does not get it (use an IPv4 next hop)", r.Dst)
		}
	}
	if id.MoreAdvertised {
		list = append(list, tooManyAdvertised(id))
	}
	for _, f := range []podnet.Family{podnet.IPv4, podnet.IPv6} {
		if _, has := id.PodAddress(f); has && !hasDefault(id, f) {
			add("there is no %sdefault route: the guest reaches only the destinations of the other routes (add one to the pod's network)", of(f))
		}
	}
	return list
}

// tooManyAdvertised says that hosts on the link advertise more routes than podswitch follows. It is the same text whichever routes these are.
func tooManyAdvertised(id *podnet.Identity) string {
	return fmt.Sprintf("%s has more than %d IPv6 routes from router advertisements: the guest gets %[2]d of them, and other destinations by the default route "+
		"(find the host that sends the advertisements)", id.Link.Name, podnet.MaxAdvertised)
}

func neighbourWarnings(id *podnet.Identity) []string {
	n := len(permanent(id))
	if n <= vswitch.NeighbourLimit || id.Link.NoARP {
		return nil
	}
	return []string{fmt.Sprintf("the switch caches %d of %d permanent neighbours: it resolves the rest, and any other next hop, for "+
		"every burst of packets (use routes with a common gateway instead)", vswitch.NeighbourLimit, n)}
}

func mtuWarnings(id *podnet.Identity) []string {
	mtu := id.MTU(podnet.IPv4)
	if mtu >= minReassembly {
		return nil
	}
	return []string{fmt.Sprintf("the MTU %d is below %d, which every host must accept (RFC 791): large packets to the guest arrive in "+
		"fragments (increase the MTU of the pod's network)", mtu, minReassembly)}
}

func hasDefault(id *podnet.Identity, f podnet.Family) bool {
	return slices.ContainsFunc(id.UplinkRoutes(f), func(r podnet.Route) bool { return r.Dst.Bits() == 0 })
}
