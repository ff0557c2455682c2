package dhcpsrv

import (
	"net"
	"net/netip"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Option 121 (RFC 3442). Clients apply the routes in order, and some stop at the first one whose gateway they cannot reach yet. The
// order is therefore:
//
//  1. on-link routes, in the order of the offer, without the subnet, which the mask implies;
//  2. on-link routes to gateways that no route before reaches (the kernel's "onlink" flag has no other form here), and to the server
//     if there is no default route, so that the client can renew;
//  3. routes with a gateway, in the order of the offer;
//  4. the default route. A client that reads option 121 ignores option 3 (RFC 3442), so it is in both.

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
	for _, r := range routes {
		if !r.Destination.IsValid() || !r.Destination.Addr().Is4() || !r.onLink() && !r.Gateway.Is4() {
			w.add("route to %s via %s: not IPv4; not offered", r.Destination, r.Gateway)
			continue
		}
		r.Destination = r.Destination.Masked()
		if !slices.ContainsFunc(clean, func(c Route) bool { return c.Destination == r.Destination }) {
			clean = append(clean, r)
		}
	}
	return clean
}

// defaultGateway returns the gateway of the default route, or the zero Addr if there is none or it is on-link.
func defaultGateway(routes []Route) netip.Addr {
	for _, r := range routes {
		if r.isDefault() && !r.onLink() {
			return r.Gateway
		}
	}
	return netip.Addr{}
}

// classlessRoutes returns the routes of option 121 in the order above.
func (o *Offer) classlessRoutes() []Route {
	var onLink, via, last []Route
	for _, r := range o.Routes {
		switch {
		case r.isDefault():
			last = []Route{r}
		case r.Destination == o.Address.Masked():
		case r.onLink():
			onLink = append(onLink, r)
		default:
			via = append(via, r)
		}
	}
	if o.Gateway.IsValid() {
		last = []Route{{Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: o.Gateway}}
	}
	var neighbours []netip.Addr // to be reached without a gateway
	for _, r := range slices.Concat(via, last) {
		if !r.onLink() {
			neighbours = append(neighbours, r.Gateway)
		}
	}
	if len(last) == 0 && !covers(via, o.Server) {
		neighbours = append(neighbours, o.Server)
	}
	for _, n := range neighbours {
		if !o.Address.Contains(n) && !covers(onLink, n) {
			onLink = append(onLink, Route{Destination: netip.PrefixFrom(n, 32)})
		}
	}
	return slices.Concat(onLink, via, last)
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
