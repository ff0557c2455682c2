package podnet

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Route is one IPv4 route that is lost when the link loses its addresses: one that leaves through the link, alone or as
// one of several next hops, or one that names an address of the link as its preferred source. Numbers are those of
// linux/rtnetlink.h. Routes that the kernel itself keeps in the local table are not recorded.
type Route struct {
	Dst        netip.Prefix `json:"dst"` // 0.0.0.0/0 is the default route
	Table      uint32       `json:"table"`
	Type       uint8        `json:"type"`     // RTN_*
	Scope      uint8        `json:"scope"`    // RT_SCOPE_*
	Protocol   uint8        `json:"protocol"` // RTPROT_*; 2 is the kernel's own
	TOS        uint8        `json:"tos,omitempty"`
	Metric     uint32       `json:"metric,omitempty"`   // lower is tried first
	Source     netip.Addr   `json:"source,omitzero"`    // preferred source address
	Link       int          `json:"link,omitempty"`     // interface index; 0 when NextHops say it
	Gateway    netip.Addr   `json:"gateway,omitzero"`   // may be IPv6 (RFC 5549); zero: the destination is on the link
	Flags      uint32       `json:"flags,omitempty"`    // RTNH_F_ONLINK, RTNH_F_PERVASIVE
	Realm      uint32       `json:"realm,omitempty"`    // for tc's route classifier
	Metrics    Metrics      `json:"metrics,omitempty"`  // "mtu", "advmss" …
	Congestion string       `json:"congctl,omitempty"`  // TCP congestion control
	NextHops   []NextHop    `json:"nexthops,omitempty"` // of a multipath route
	// BeforeOthers: a route that is not recorded has the same destination, TOS and metric and comes after this one. The
	// kernel uses the first, so the order matters.
	BeforeOthers bool `json:"before_others,omitempty"`
}

// A NextHop is one way of a multipath route.
type NextHop struct {
	Link    int        `json:"link"` // interface index; may be another interface than the pod's
	Gateway netip.Addr `json:"gateway,omitzero"`
	Weight  int        `json:"weight"` // 1 to 256
	Flags   uint32     `json:"flags,omitempty"`
	Realm   uint32     `json:"realm,omitempty"`
}

// hops returns all ways of a route as next hops.
func (r Route) hops() []NextHop {
	if len(r.NextHops) > 0 {
		return r.NextHops
	}
	return []NextHop{{Link: r.Link, Gateway: r.Gateway, Weight: 1, Flags: r.Flags, Realm: r.Realm}}
}

// uses tells whether the route leaves through the link.
func (r Route) uses(index int) bool {
	return slices.ContainsFunc(r.hops(), func(h NextHop) bool { return h.Link == index })
}

// GatewayOn returns the IPv4 next hop of the route on a link: the zero Addr when its destinations are on the link, or when the
// next hop is no IPv4 address.
func (r Route) GatewayOn(link int) netip.Addr {
	for _, hop := range r.hops() {
		if hop.Link == link && hop.Gateway.Is4() {
			return hop.Gateway
		}
	}
	return netip.Addr{}
}

// HasIPv6Gateway tells whether the route has a next hop on a link that is no IPv4 address (RFC 5549): nobody there is asked by ARP.
func (r Route) HasIPv6Gateway(link int) bool {
	for _, hop := range r.hops() {
		if hop.Link == link && hop.Gateway.IsValid() && !hop.Gateway.Is4() {
			return true
		}
	}
	return false
}

// same tells whether a and b are the same route, wherever they stand.
func (r Route) same(other Route) bool {
	r.BeforeOthers, other.BeforeOthers = false, false
	return reflect.DeepEqual(r, other)
}

// A routeSlot is what routes compete for: the kernel tries those of one slot in their order.
type routeSlot struct {
	table  uint32
	dst    netip.Prefix
	tos    uint8
	metric uint32
}

func (r Route) slot() routeSlot { return routeSlot{r.Table, r.Dst, r.TOS, r.Metric} }

// String writes the route as the ip command would be told, without the metrics other than mtu.
func (r Route) String() string {
	var s strings.Builder
	if r.Type != unix.RTN_UNICAST {
		fmt.Fprintf(&s, "type %d ", r.Type)
	}
	if r.Dst.Bits() == 0 {
		s.WriteString("default")
	} else {
		s.WriteString(r.Dst.String())
	}
	say := func(set bool, format string, value any) {
		if set {
			fmt.Fprintf(&s, format, value)
		}
	}
	say(r.Gateway.IsValid(), " via %v", r.Gateway)
	say(r.Source.IsValid(), " src %v", r.Source)
	say(r.Scope == unix.RT_SCOPE_LINK, " scope %s", "link")
	say(r.Metric != 0, " metric %d", r.Metric)
	say(r.Flags&unix.RTNH_F_ONLINK != 0, " %s", "onlink")
	say(r.Metrics["mtu"] != 0, " mtu %d", r.Metrics["mtu"])
	say(r.Table != unix.RT_TABLE_MAIN, " table %d", r.Table)
	for _, h := range r.NextHops {
		say(true, " nexthop link %d", h.Link)
		say(h.Gateway.IsValid(), " via %v", h.Gateway)
		say(true, " weight %d", h.Weight)
	}
	return s.String()
}
