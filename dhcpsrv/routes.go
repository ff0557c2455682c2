package dhcpsrv

import (
	"net"
	"net/netip"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Option 121 (RFC 3442). Clients apply the routes in order, and some stop at the first one whose gateway they cannot reach yet. If a
// reply has no room for all routes, it has the first ones: to the guest, all gateways have the same MAC, so that the default route
// alone reaches every destination. The order is therefore:
//
//  1. an on-link route to the default gateway if it is outside the subnet, and the default route. A client that reads option 121
//     ignores option 3 (RFC 3442), so it is in both;
//  2. on-link routes, in the order of the offer, without the subnet, which the mask implies;
//  3. on-link routes to gateways that no route before reaches (the kernel's "onlink" flag has no other form here), and to the server
//     if there is no default route, so that the client can renew;
//  4. routes with a gateway, in the order of the offer.

// A Route is an IPv4 route.
type Route struct {
	Destination netip.Prefix
	Gateway     netip.Addr // the zero Addr or 0.0.0.0: on-link
}

func (r Route) onLink() bool { return !r.Gateway.IsValid() || r.Gateway.IsUnspecified() }

func (r Route) isDefault() bool { return r.Destination.Bits() == 0 }

// cleanRoutes returns the IPv4 routes, and of several routes to one destination the first, which is the preferred one.
func (w *warnings) cleanRoutes(routes []Route) []Route {
	var clean []Route
	known := make(map[netip.Prefix]bool, len(routes))
	for _, r := range routes {
		if !r.Destination.IsValid() || !r.Destination.Addr().Is4() || !r.onLink() && !r.Gateway.Is4() {
			w.add("route to %s via %s: not IPv4; not offered", r.Destination, r.Gateway)
			continue
		}
		r.Destination = r.Destination.Masked()
		if !known[r.Destination] {
			known[r.Destination] = true
			clean = append(clean, r)
		}
	}
	return clean
}

// defaultGateway returns the gateway of the default route, or the zero Addr if there is none. For an on-link default route it is the
// server: some clients take the gateway 0.0.0.0 for that of a route to the host 0.0.0.0, and the server has the MAC of all gateways.
func (o *Offer) defaultGateway() netip.Addr {
	for _, r := range o.Routes {
		switch {
		case r.isDefault() && r.onLink():
			return o.Server
		case r.isDefault():
			return r.Gateway
		}
	}
	return netip.Addr{}
}

// classlessRoutes returns the routes of option 121 in the order above. first is the number of those in step 1. If there is no default
// route, the Gateway is invalid.
func (o *Offer) classlessRoutes() (routes []Route, first int) {
	var via []Route
	for _, r := range o.Routes {
		if !r.isDefault() && !r.onLink() && r.Destination != o.Address.Masked() {
			via = append(via, r)
		}
	}
	if o.Gateway.IsValid() {
		routes = o.appendReach(routes, o.Gateway)
		routes = append(routes, Route{Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: o.Gateway})
	}
	first = len(routes)
	for _, r := range o.Routes {
		if !r.isDefault() && r.onLink() && r.Destination != o.Address.Masked() && !slices.Contains(routes[:first], r) {
			routes = append(routes, r)
		}
	}
	reached := map[netip.Addr]bool{}
	for _, r := range via {
		if !reached[r.Gateway] {
			reached[r.Gateway] = true
			routes = o.appendReach(routes, r.Gateway)
		}
	}
	if !o.Gateway.IsValid() && !covers(via, o.Server) {
		routes = o.appendReach(routes, o.Server)
	}
	return append(routes, via...), first
}

// appendReach appends an on-link route to a, unless a is in the subnet or one of the on-link routes leads to it.
func (o *Offer) appendReach(routes []Route, a netip.Addr) []Route {
	if o.subnet.Contains(a) || slices.ContainsFunc(routes, func(r Route) bool { return r.onLink() && r.Destination.Contains(a) }) {
		return routes
	}
	return append(routes, Route{Destination: netip.PrefixFrom(a, 32)})
}

// covers reports whether one of the routes leads to a.
func covers(routes []Route, a netip.Addr) bool {
	return slices.ContainsFunc(routes, func(r Route) bool { return r.Destination.Contains(a) })
}

// encodeRoutes returns the value of options 121 and 249.
func encodeRoutes(routes []Route) []byte {
	var list dhcpv4.Routes
	for _, r := range routes {
		destination := net.IPNet{IP: r.Destination.Addr().AsSlice(), Mask: net.CIDRMask(r.Destination.Bits(), 32)}
		gateway := net.IPv4zero
		if !r.onLink() {
			gateway = r.Gateway.AsSlice()
		}
		list = append(list, &dhcpv4.Route{Dest: &destination, Router: gateway})
	}
	return list.ToBytes()
}

// wholeRoutes returns the longest beginning of an encoded list that consists of whole routes and takes at most room bytes as an option.
func wholeRoutes(list []byte, room int) []byte {
	end := 0
	for end < len(list) {
		next := end + 1 + (int(list[end])+7)/8 + 4 // width, significant octets, gateway (RFC 3442)
		if (option{value: list[:next]}).size() > room {
			break
		}
		end = next
	}
	return list[:end]
}

// warnOfRoutes adds a warning if a client that receives only the smallest messages does not get all routes.
func (o *Offer) warnOfRoutes(w *warnings) {
	const usualClientID = 1 + len(MAC{}) // hardware type and MAC (RFC 2132, section 9.14)
	room := sizeFloor - ipUDPHeaders - headerSize - 1
	for _, opt := range slices.Concat(o.options, []option{
		{optMessageType, make([]byte, 1)}, {optServer, make([]byte, 4)}, {optLeaseTime, make([]byte, 4)}, {optClientID, make([]byte, usualClientID)},
	}) {
		if isMandatory(opt.code) || opt.code == optMTU {
			room -= opt.size()
		}
	}
	if need := (option{value: o.routes}).size(); need > room {
		w.add("routes: %d bytes of DHCP option 121, and %d fit if the client accepts messages of %d bytes; such a client gets as many as fit, "+
			"the default route first", need, room, sizeFloor)
	}
}
