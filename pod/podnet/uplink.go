package podnet

import "net/netip"

// Via returns the IPv4 next hop of the route on a link: the zero Addr when its destinations are on the link, or when the
// next hop is no IPv4 address.
func (r Route) Via(link int) netip.Addr {
	for _, hop := range r.hops() {
		if hop.Link == link && hop.Gateway.Is4() {
			return hop.Gateway
		}
	}
	return netip.Addr{}
}

// ViaOther tells whether the route has a next hop on a link that is no IPv4 address (RFC 5549): nobody there is asked by ARP.
func (r Route) ViaOther(link int) bool {
	for _, hop := range r.hops() {
		if hop.Link == link && hop.Gateway.IsValid() && !hop.Gateway.Is4() {
			return true
		}
	}
	return false
}
