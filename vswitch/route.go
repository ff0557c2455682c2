package vswitch

import (
	"net/netip"
	"slices"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
)

// A Route is one route of the pod interface. The longest matching prefix wins.
type Route struct {
	Destination netip.Prefix // IPv4 or IPv6
	Gateway     netip.Addr   // of the same family; otherwise the destination is on-link
	MTU         int          // largest IP packet of the path in bytes; 0: the link's
	AdvMSS      int          // largest MSS of a TCP connection to the destination (advmss in ip-route(8)); 0: what fits into the MTU
	Metric      int          // among routes with the same prefix length, the lowest wins
}

// A route is a Route in the form that the forwarder uses.
type route struct {
	lookup.Prefix
	gateway  lookup.Key // the zero key: on-link
	mtu, mss int
}

// A routeTable is ordered so that the first match is the longest prefix with the lowest metric. Pods have few routes: a linear search is
// faster than a tree.
type routeTable []route

// newRouteTable returns the table of one family.
func newRouteTable(routes []Route, linkMTU int, isIPv6 bool) routeTable {
	sorted := slices.Clone(routes)
	slices.SortStableFunc(sorted, func(a, b Route) int {
		if d := b.Destination.Bits() - a.Destination.Bits(); d != 0 {
			return d
		}
		return a.Metric - b.Metric
	})
	var table routeTable
	for _, r := range sorted {
		if !lookup.IsOf(r.Destination.Addr(), isIPv6) {
			continue
		}
		entry := route{Prefix: lookup.NewPrefix(r.Destination), mtu: linkMTU}
		if lookup.IsOf(r.Gateway, isIPv6) {
			entry.gateway = lookup.KeyOf(r.Gateway)
		}
		if r.MTU > 0 {
			entry.mtu = min(r.MTU, linkMTU)
		}
		entry.mss = packet.MSSOf(entry.mtu, isIPv6)
		if r.AdvMSS > 0 {
			entry.mss = min(r.AdvMSS, entry.mss)
		}
		table = append(table, entry)
	}
	return table
}

// lookup returns the next hop of a destination and its route; nil: there is none.
func (t routeTable) lookup(target lookup.Key) (nextHop lookup.Key, r *route) {
	for i := range t {
		r = &t[i]
		if !r.Contains(target) {
			continue
		}
		if r.gateway != (lookup.Key{}) {
			return r.gateway, r
		}
		return target, r
	}
	return lookup.Key{}, nil
}

// gateways returns the set of next hops that routes name.
func (t routeTable) gateways() map[lookup.Key]bool {
	gateways := make(map[lookup.Key]bool)
	for _, r := range t {
		if r.gateway != (lookup.Key{}) {
			gateways[r.gateway] = true
		}
	}
	return gateways
}
