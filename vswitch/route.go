package vswitch

import (
	"net/netip"
	"slices"
)

// A Route is one route of the pod interface. The longest matching prefix wins.
type Route struct {
	Destination netip.Prefix // IPv4; routes of other families are ignored
	Gateway     netip.Addr   // the zero Addr: the destination is on-link
	MTU         int          // largest IP packet of the path in bytes; 0: the link's
	AdvMSS      int          // largest MSS of a TCP connection to the destination (advmss in ip-route(8)); 0: what fits into the MTU
	Metric      int          // among routes with the same prefix length, the lowest wins
}

// A route is a Route in the form that the forwarder uses.
type route struct {
	network, mask uint32
	gateway       uint32 // 0: on-link
	mtu, mss      int
}

// A routeTable is ordered so that the first match is the longest prefix with the lowest metric. Pods have few routes: a linear search is
// faster than a tree.
type routeTable []route

func newRouteTable(routes []Route, linkMTU int) routeTable {
	sorted := slices.Clone(routes)
	slices.SortStableFunc(sorted, func(a, b Route) int {
		if d := b.Destination.Bits() - a.Destination.Bits(); d != 0 {
			return d
		}
		return a.Metric - b.Metric
	})
	var table routeTable
	for _, r := range sorted {
		if !r.Destination.Addr().Is4() {
			continue
		}
		entry := route{mask: ^uint32(0) << (32 - r.Destination.Bits()), mtu: linkMTU}
		entry.network = ipKey(r.Destination.Addr()) & entry.mask
		if r.Gateway.Is4() {
			entry.gateway = ipKey(r.Gateway)
		}
		if r.MTU > 0 {
			entry.mtu = min(r.MTU, linkMTU)
		}
		entry.mss = mssOf(entry.mtu)
		if r.AdvMSS > 0 {
			entry.mss = min(r.AdvMSS, entry.mss)
		}
		table = append(table, entry)
	}
	return table
}

// lookup returns the next hop of a destination and its route; nil: there is none.
func (t routeTable) lookup(target uint32) (nextHop uint32, r *route) {
	for i := range t {
		r = &t[i]
		if target&r.mask != r.network {
			continue
		}
		if r.gateway != 0 {
			return r.gateway, r
		}
		return target, r
	}
	return 0, nil
}

// gateways returns the set of next hops that routes name.
func (t routeTable) gateways() map[uint32]bool {
	gateways := make(map[uint32]bool)
	for _, r := range t {
		if r.gateway != 0 {
			gateways[r.gateway] = true
		}
	}
	return gateways
}
