package podnet

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Route is a route with a next hop on the link, or with an address of the link as its preferred source. When the link loses its
// addresses, the kernel drops such a route of IPv4. It keeps one of IPv6, but for the prefix route of an address, and forgets the source.
// Numbers are those of linux/rtnetlink.h. Routes that the kernel itself maintains in the local table are not recorded.
type Route struct {
	Dst        netip.Prefix `json:"dst"` // 0.0.0.0/0 or ::/0 is the default route
	Table      uint32       `json:"table"`
	Type       uint8        `json:"type"`     // RTN_*
	Scope      uint8        `json:"scope"`    // RT_SCOPE_*
	Protocol   uint8        `json:"protocol"` // RTPROT_*; 2 is the kernel
	TOS        uint8        `json:"tos,omitempty"`
	Metric     uint32       `json:"metric,omitempty"`          // the kernel tries the lower one first
	Source     netip.Addr   `json:"source,omitzero"`           // preferred source address
	Link       int          `json:"link,omitempty"`            // interface index; 0 for a multipath route, and for a type without a next hop
	Gateway    netip.Addr   `json:"gateway,omitzero"`          // may be IPv6 (RFC 5549); zero if the destination is on-link
	Flags      uint32       `json:"flags,omitempty"`           // RTNH_F_ONLINK, RTNH_F_PERVASIVE
	Realm      uint32       `json:"realm,omitempty"`           // for the route classifier of tc(8)
	Metrics    Metrics      `json:"metrics,omitempty"`         // by name
	Congestion string       `json:"congctl,omitempty"`         // TCP congestion control
	NextHops   []NextHop    `json:"nexthops,omitempty"`        // of a multipath route
	Preference uint8        `json:"preference,omitempty"`      // of IPv6: ICMPV6_ROUTER_PREF_* (RFC 4191); 0 is medium
	Expires    uint32       `json:"expires_seconds,omitempty"` // of IPv6: remaining seconds at the time of the record; 0 means never
	// BeforeOthers means that a route of the same slot that is not recorded follows this one. The kernel uses the first route of a
	// slot, so the order is restored, too.
	BeforeOthers bool `json:"before_others,omitempty"`
}

// A NextHop is one next hop of a multipath route.
type NextHop struct {
	Link    int        `json:"link"` // interface index; not necessarily the pod interface
	Gateway netip.Addr `json:"gateway,omitzero"`
	Weight  int        `json:"weight"` // 1 to 256
	Flags   uint32     `json:"flags,omitempty"`
	Realm   uint32     `json:"realm,omitempty"`
}

// nextHops returns NextHops, or the single next hop of a route that is not multipath.
func (r Route) nextHops() []NextHop {
	if len(r.NextHops) > 0 {
		return r.NextHops
	}
	return []NextHop{{Link: r.Link, Gateway: r.Gateway, Weight: 1, Flags: r.Flags, Realm: r.Realm}}
}

// leavesThrough reports whether the route has a next hop on the link.
func (r Route) leavesThrough(index int) bool {
	return slices.ContainsFunc(r.nextHops(), func(h NextHop) bool { return h.Link == index })
}

// GatewayOn returns the gateway of the route's next hop on a link. It returns the zero Addr if the destination is on-link, or if the
// gateway of an IPv4 route is an IPv6 address.
func (r Route) GatewayOn(link int) netip.Addr {
	for _, hop := range r.nextHops() {
		if hop.Link == link && hop.Gateway.IsValid() && FamilyOf(hop.Gateway) == r.family() {
			return hop.Gateway
		}
	}
	return netip.Addr{}
}

// HasIPv6Gateway reports whether this is an IPv4 route and the gateway of its next hop on the link is an IPv6 address (RFC 5549), which ARP
// cannot resolve.
func (r Route) HasIPv6Gateway(link int) bool {
	if r.family() == IPv6 {
		return false
	}
	for _, hop := range r.nextHops() {
		if hop.Link == link && hop.Gateway.IsValid() && !hop.Gateway.Is4() {
			return true
		}
	}
	return false
}

// same reports whether the routes are equal, wherever they are in their slot and however long they last.
func (r Route) same(other Route) bool {
	r.BeforeOthers, other.BeforeOthers = false, false
	r.Expires, other.Expires = 0, 0
	return reflect.DeepEqual(r, other)
}

// A routeSlot identifies the routes that the kernel tries one after another (fib_table_lookup in net/ipv4/fib_trie.c).
type routeSlot struct {
	table  uint32
	dst    netip.Prefix
	tos    uint8
	metric uint32
}

func (r Route) slot() routeSlot { return routeSlot{r.Table, r.Dst, r.TOS, r.Metric} }

// String returns the route as an argument of ip-route(8), without the metrics other than mtu.
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
	add := func(set bool, format string, value any) {
		if set {
			fmt.Fprintf(&s, format, value)
		}
	}
	add(r.Gateway.IsValid(), " via %v", r.Gateway)
	add(r.Source.IsValid(), " src %v", r.Source)
	add(r.Scope == unix.RT_SCOPE_LINK, " scope %s", "link")
	add(r.Metric != 0, " metric %d", r.Metric)
	add(r.Flags&unix.RTNH_F_ONLINK != 0, " %s", "onlink")
	add(r.Metrics["mtu"] != 0, " mtu %d", r.Metrics["mtu"])
	add(r.Table != unix.RT_TABLE_MAIN, " table %d", r.Table)
	for _, h := range r.NextHops {
		fmt.Fprintf(&s, " nexthop %v weight %d", h, h.Weight)
	}
	return s.String()
}

// String returns the destination of the next hop: "link 3 via 10.244.1.1".
func (h NextHop) String() string {
	if !h.Gateway.IsValid() {
		return fmt.Sprintf("link %d", h.Link)
	}
	return fmt.Sprintf("link %d via %v", h.Link, h.Gateway)
}
