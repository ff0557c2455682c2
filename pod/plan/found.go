package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// blockTable is what OpenShift SDN puts into every pod, at the output and forward hooks: a packet socket passes neither.
const blockTable = "openshift-block-output"

// kindIPVlan is rtnetlink's name of a link that delivers by address (drivers/net/ipvlan).
const kindIPVlan = "ipvlan"

// openShiftRules are what that table says: connections to the machine configuration server and, but for its name server,
// everything to the cloud's metadata are not for pods. The VXLAN of pods is dropped by the node: it need not leave.
func openShiftRules() []vswitch.Rule {
	const tcp, udp = 6, 17
	everywhere, metadata := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("169.254.169.254/32")
	return []vswitch.Rule{
		{Destination: everywhere, Protocol: udp, Port: 4789},
		{Destination: everywhere, Protocol: tcp, Port: 22623},
		{Destination: everywhere, Protocol: tcp, Port: 22624},
		{Destination: metadata, Port: 53, Allow: true},
		{Destination: metadata},
	}
}

// rules are what the guest may not reach: what the user says, and what the pod's firewall says if it is the one we know, and
// what the pod's routes send nowhere.
func rules(deny []DenyRule, nowhere []vswitch.Rule, tables []string) []vswitch.Rule {
	var list []vswitch.Rule
	for _, d := range deny {
		list = append(list, vswitch.Rule{Destination: d.Destination, Port: d.Port})
	}
	if slices.Contains(tables, blockTable) {
		list = append(list, openShiftRules()...)
	}
	return append(list, nowhere...)
}

// nowhere are rules for the routes that lead nowhere. As in the kernel, the longest prefix decides and then the lowest metric: a route
// of the uplink stands before the rule that would deny what it reaches.
func nowhere(denied, uplink []podnet.Route) (list []vswitch.Rule) {
	type way struct {
		podnet.Route
		leads bool
	}
	var ways []way
	for _, r := range denied {
		ways = append(ways, way{r, false})
	}
	for _, r := range uplink {
		ways = append(ways, way{r, true})
	}
	slices.SortStableFunc(ways, func(a, b way) int {
		return cmp.Or(cmp.Compare(b.Dst.Bits(), a.Dst.Bits()), a.Dst.Addr().Compare(b.Dst.Addr()), cmp.Compare(a.Metric, b.Metric))
	})
	ways = slices.CompactFunc(ways, func(a, b way) bool { return a.Dst == b.Dst })
	for i, w := range ways {
		later := func(other way) bool { return !other.leads && other.Dst.Contains(w.Dst.Addr()) }
		if !w.leads || slices.ContainsFunc(ways[i+1:], later) {
			list = append(list, vswitch.Rule{Destination: w.Dst, Allow: w.leads})
		}
	}
	return list
}

// found says what the pod's network is like where that decides what podswitch does.
func found(id *podnet.Identity, address netip.Prefix, tables []string) (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	gateway, hasGateway := id.Gateway()
	switch {
	case id.Link.NoARP:
		say("%s has no ARP: frames leave with its own MAC at both ends, and inbound ones are judged by IP address alone", id.Link.Name)
	case hasGateway && !address.Contains(gateway):
		say("the gateway %s is outside %s: the guest is told a route to it (option 121)", gateway, address.Masked())
	}
	known := permanent(id)
	for _, n := range known[:min(len(known), vswitch.NeighbourLimit)] { // of the others, doubts speaks
		say("%s is at %s for ever: it is never asked for by ARP", n.Addr, n.MAC)
	}
	if ip := address.Addr().As4(); id.Link.MAC == (podnet.MAC{0x0a, 0x58, ip[0], ip[1], ip[2], ip[3]}) {
		say("the wire MAC is made of the address: the network may check one against the other, and sees no other MAC")
	}
	if mtu := id.MTU(); mtu < id.Link.MTU {
		say("the default route carries %d bytes, the link %d: the guest is told %d", mtu, id.Link.MTU, mtu)
	}
	if id.Link.Kind == kindIPVlan {
		say("%s is an ipvlan, which delivers by the addresses that it has: the address stays on it, and the kernel is muted", id.Link.Name)
	}
	if slices.Contains(tables, blockTable) {
		say("the pod's firewall %s does not see the guest's frames: the same rules apply in the switch", blockTable)
	}
	return list
}

// doubts are what podswitch does not do for this pod, though somebody might expect it.
func doubts(id *podnet.Identity, address netip.Prefix, tables []string, elsewhere podnet.OtherRouting) (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, a := range id.Addresses {
		if a.Prefix != address {
			say("%s is not delegated: nobody answers for it until it is given back", a.Prefix)
		}
	}
	said := map[uint32]bool{}
	for _, r := range id.Routes {
		if own := r.Table == mainTable || r.Table == localTable; !own && !said[r.Table] {
			said[r.Table] = true
			say("the routes of table %d are put back later, but the guest's traffic does not follow them", r.Table)
		}
	}
	for _, table := range tables {
		if table != blockTable {
			say("the pod's nftables table %q does not see the guest's traffic: say with --deny what it keeps from the pod", table)
		}
	}
	for _, rule := range elsewhere.Rules {
		say("the guest's traffic does not follow the pod's routing rule: %s", rule)
	}
	for _, route := range elsewhere.Routes {
		say("the guest reaches by %s what the pod reaches otherwise: %s", id.Link.Name, route)
	}
	for _, r := range id.UplinkRoutes() {
		if r.HasIPv6Gateway(id.Link.Index) {
			say("the route to %s has a next hop that is no IPv4 address: the guest does not get it", r.Dst)
		}
	}
	if n := len(permanent(id)); n > vswitch.NeighbourLimit && !id.Link.NoARP {
		say("%d neighbours are permanent, and the switch keeps %d: the others, and whoever else is a next hop, it asks for by ARP each time anew",
			n, vswitch.NeighbourLimit)
	}
	if !hasDefault(id) {
		say("there is no default route: the guest reaches what the other routes say")
	}
	if mtu := id.MTU(); mtu < minReassembly {
		say("the MTU is %d, and hosts expect at least %d (RFC 791): large answers to the guest come in fragments", mtu, minReassembly)
	}
	return list
}

func hasDefault(id *podnet.Identity) bool {
	return slices.ContainsFunc(id.UplinkRoutes(), func(r podnet.Route) bool { return r.Dst.Bits() == 0 })
}

// Routing tables (linux/rtnetlink.h), and the size in bytes of a packet that every host must be able to take (RFC 791,
// section 3.1).
const (
	mainTable     = 254
	localTable    = 255
	minReassembly = 576
)
