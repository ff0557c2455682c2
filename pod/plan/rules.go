package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// blockTable is the nftables table that OpenShift SDN creates in every pod. It filters in the output and forward hooks, which packet
// sockets bypass.
const blockTable = "openshift-block-output"

// openShiftRules returns the rules of blockTable: pods may not connect to the machine configuration server, nor to the cloud's
// metadata service, except for its name server. They may not send VXLAN either, which the node drops.
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

// rules returns all rules for the guest's traffic in the order of evaluation: those of the user, those of OpenShift SDN's firewall if
// the pod has it, and those of unreachable routes.
func rules(deny []DenyRule, unreachable []vswitch.Rule, tables []string) []vswitch.Rule {
	var list []vswitch.Rule
	for _, d := range deny {
		list = append(list, vswitch.Rule{Destination: d.Destination, Port: d.Port})
	}
	if slices.Contains(tables, blockTable) {
		list = append(list, openShiftRules()...)
	}
	return append(list, unreachable...)
}

// A target is a route with the decision whether packets that follow it leave the pod.
type target struct {
	podnet.Route
	reachable bool
}

// unreachableRules returns the rules for denied, the unreachable routes of the pod. As in the kernel, the longest prefix decides, then
// the lowest metric: a route of the uplink becomes an allowing rule before a denying rule of a shorter prefix.
func unreachableRules(denied, uplink []podnet.Route) (list []vswitch.Rule) {
	var later []target // unreachable ones of the same or a shorter prefix
	for _, t := range slices.Backward(bestTargets(denied, uplink)) {
		overrides := func(other target) bool { return other.Dst.Contains(t.Dst.Addr()) }
		if !t.reachable || slices.ContainsFunc(later, overrides) {
			list = append(list, vswitch.Rule{Destination: t.Dst, Allow: t.reachable})
		}
		if !t.reachable {
			later = append(later, t)
		}
	}
	slices.Reverse(list)
	return list
}

// bestTargets returns the route with the lowest metric for each destination, longest prefix first.
func bestTargets(denied, uplink []podnet.Route) (targets []target) {
	for _, r := range denied {
		targets = append(targets, target{r, false})
	}
	for _, r := range uplink {
		targets = append(targets, target{r, true})
	}
	slices.SortStableFunc(targets, func(a, b target) int {
		return cmp.Or(cmp.Compare(b.Dst.Bits(), a.Dst.Bits()), a.Dst.Addr().Compare(b.Dst.Addr()), cmp.Compare(a.Metric, b.Metric))
	})
	return slices.CompactFunc(targets, func(a, b target) bool { return a.Dst == b.Dst })
}
