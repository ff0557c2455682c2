package oracle

import (
	"net/netip"
	"slices"

	"github.com/podswitch/podswitch/vswitch"
)

// best returns the route to a destination: of the longest prefix, then the lowest metric, then the first one.
func (d *Family) best(to netip.Addr) (best vswitch.Route, ok bool) {
	for _, r := range d.cfg.Routes {
		if r.Destination.Addr().Is6() != d.six || !r.Destination.Contains(to) {
			continue
		}
		if !ok || r.Destination.Bits() > best.Destination.Bits() ||
			r.Destination.Bits() == best.Destination.Bits() && r.Metric < best.Metric {
			best, ok = r, true
		}
	}
	return best, ok
}

// segmentTo returns the size of a packet with the largest TCP segment that a SYN to a destination may announce.
func (d *Family) segmentTo(to netip.Addr, mtu int) int {
	headers := 40
	if d.six {
		headers = 60
	}
	if best, _ := d.best(to); best.AdvMSS > 0 {
		return min(mtu, best.AdvMSS+headers)
	}
	return mtu
}

// route returns the next hop of a destination and the MTU of the path.
func (d *Family) route(to netip.Addr) (nextHop netip.Addr, mtu int, ok bool) {
	best, ok := d.best(to)
	if mtu = d.cfg.MTU; best.MTU > 0 && best.MTU < mtu {
		mtu = best.MTU
	}
	if best.Gateway.IsValid() && best.Gateway.Is6() == d.six && !best.Gateway.IsUnspecified() {
		return best.Gateway, mtu, ok
	}
	return to, mtu, ok
}

// isGateway reports whether the address is the gateway of a route.
func (d *Family) isGateway(a netip.Addr) bool {
	for _, r := range d.cfg.Routes {
		if r.Destination.Addr().Is6() == d.six && r.Gateway == a {
			return true
		}
	}
	return false
}

// isOnLink reports whether a host is a neighbour by the routes.
func (d *Family) isOnLink(a netip.Addr) bool {
	nextHop, _, ok := d.route(a)
	return ok && nextHop == a || d.isGateway(a)
}

// isDenied reports whether the rules forbid a packet of the guest: the first match decides.
func (d *Family) isDenied(p packet) bool {
	if p.routed {
		return true
	}
	if !slices.ContainsFunc(d.cfg.Rules, func(r vswitch.Rule) bool { return r.Destination.Addr().Is6() == d.six }) {
		return false
	}
	if p.isSourceRouted() || p.protocol == tcp && p.offset == 8 { // such a fragment contains the offset of the TCP flags
		return true
	}
	for _, r := range d.cfg.Rules {
		if r.Destination.Addr().Is6() == d.six && r.Destination.Contains(p.target) && isAbout(r, p) {
			return !r.Allow
		}
	}
	return false
}

// isAbout reports whether a rule matches the packet's port. A rule that denies a TCP port matches packets that open a connection only.
func isAbout(r vswitch.Rule, p packet) bool {
	if r.Port == 0 {
		return true
	}
	if !p.first || p.to != int(r.Port) || r.Protocol != 0 && r.Protocol != p.protocol {
		return false
	}
	return p.protocol == udp || p.isConnect() || p.protocol == tcp && r.Allow
}
