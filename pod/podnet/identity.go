package podnet

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// An Identity is the state of a pod interface and of its pod, as far as podswitch uses or restores it.
type Identity struct {
	Namespace  Namespace   `json:"namespace"`
	Link       Link        `json:"link"`
	TakenMAC   MAC         `json:"taken_mac,omitzero"`   // of the link at the take; zero: it has not changed since
	Addresses  []Address   `json:"addresses"`            // that Take removes: all IPv4 ones, and one IPv6 address; each family in the kernel's order
	Kept       []Address   `json:"kept,omitempty"`       // IPv6 addresses that stay on the interface
	Routes     []Route     `json:"routes,omitempty"`     // each family in the kernel's order; Route says which
	Neighbours []Neighbour `json:"neighbours,omitempty"` // Neighbour says which
	HostName   string      `json:"host_name,omitempty"`
	Resolv     Resolv      `json:"resolv"`

	// MoreAdvertised means that the kernel has more IPv6 routes of router advertisements than Routes has (MaxAdvertised).
	MoreAdvertised bool `json:"-"`

	families []Family      // that were read; nil for an identity from a state file
	readAt   time.Duration // uptime when the identity was read, from which the lifetimes of addresses count
}

// FirstMAC returns the MAC that the link had at the take: what the guest has learned since then depends on it.
func (id *Identity) FirstMAC() MAC { return cmp.Or(id.TakenMAC, id.Link.MAC) }

// A Link is the pod interface itself.
type Link struct {
	Name     string `json:"name"`
	Index    int    `json:"index"`
	MAC      MAC    `json:"mac"`               // zero if the link has no address of 6 bytes
	MTU      int    `json:"mtu"`               // largest IP packet, in bytes
	Up       bool   `json:"up"`                // IFF_UP
	NoARP    bool   `json:"no_arp,omitempty"`  // IFF_NOARP
	Ethernet bool   `json:"ethernet"`          // ARPHRD_ETHER: frames have an Ethernet header
	Kind     string `json:"kind,omitempty"`    // IFLA_INFO_KIND, such as "veth"; "device" for hardware
	BigTCP   bool   `json:"big_tcp,omitempty"` // TCP packets above 64 KiB may pass before they are segmented (IFLA_GSO_MAX_SIZE and the like)
}

// PodAddress returns the pod address of a family with its prefix: the first global unicast address of Addresses. It returns false if there is
// none, as on an interface without IPAM.
func (id *Identity) PodAddress(f Family) (netip.Prefix, bool) {
	for _, a := range only(f, id.Addresses) {
		if a.Scope == unix.RT_SCOPE_UNIVERSE && a.Prefix.Addr().IsGlobalUnicast() {
			return a.Prefix, true
		}
	}
	return netip.Prefix{}, false
}

// Only returns the identity with the addresses, routes and neighbours of the given families.
func (id *Identity) Only(families ...Family) *Identity {
	narrowed := *id
	narrowed.families = slices.DeleteFunc(slices.Clone(id.families), func(f Family) bool { return !slices.Contains(families, f) })
	narrowed.Addresses, narrowed.Routes, narrowed.Neighbours, narrowed.Kept = nil, nil, nil, nil
	for _, f := range families {
		narrowed.Addresses = append(narrowed.Addresses, only(f, id.Addresses)...)
		narrowed.Routes = append(narrowed.Routes, only(f, id.Routes)...)
		narrowed.Neighbours = append(narrowed.Neighbours, only(f, id.Neighbours)...)
		narrowed.Kept = append(narrowed.Kept, only(f, id.Kept)...)
	}
	return &narrowed
}

// has reports whether the identity has an address, route or neighbour of the family.
func (id *Identity) has(f Family) bool {
	return len(only(f, id.Addresses))+len(only(f, id.Routes))+len(only(f, id.Neighbours)) > 0
}

// takenFamilies returns the families that Addresses has an address of.
func (id *Identity) takenFamilies() []Family {
	return slices.DeleteFunc([]Family{IPv4, IPv6}, func(f Family) bool { return len(only(f, id.Addresses)) == 0 })
}

// Lifetimes returns the times when the pod address of a family ends and when it is deprecated (ip-address(8): valid_lft, preferred_lft). The
// zero time means never, or that it is deprecated already.
func (id *Identity) Lifetimes(f Family, now time.Time) (expires, deprecated time.Time) {
	address, _ := id.PodAddress(f)
	for _, a := range id.Addresses {
		if a.Prefix != address || a.Valid == 0 { // the kernel reports no such lifetime
			continue
		}
		left, alive := a.aged(uptime() - id.readAt)
		if !alive {
			return now, time.Time{}
		}
		return after(now, left.Valid), after(now, left.Preferred)
	}
	return time.Time{}, time.Time{}
}

// after returns the time at the end of a lifetime in seconds. It is zero if the lifetime is endless or has ended.
func after(now time.Time, seconds uint32) time.Time {
	if seconds == Forever || seconds == 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(seconds) * time.Second)
}

// Gateway returns the next hop on this link of the family's default route that the kernel tries first. It returns false if there is no
// default route, or if the route has no such next hop of the family.
func (id *Identity) Gateway(f Family) (netip.Addr, bool) {
	r, ok := id.defaultRoute(f)
	if !ok {
		return netip.Addr{}, false
	}
	gateway := r.GatewayOn(id.Link.Index)
	return gateway, gateway.IsValid()
}

// MTU returns the size in bytes of the largest packet of a family that passes the gateway: the smaller MTU of link and default route. Some
// plugins (Cilium, OVN-Kubernetes) set it on the route only.
func (id *Identity) MTU(f Family) int {
	mtu := id.Link.MTU
	if r, ok := id.defaultRoute(f); ok {
		if m := int(r.Metrics["mtu"]); m > 0 && m < mtu {
			mtu = m
		}
	}
	return mtu
}

// UplinkRoutes returns the unicast routes of a family in the main table that leave through the link, without those for a TOS and those to
// IPv6 link-local addresses. They are in the order in which the kernel tries them: longest prefix first, then lowest metric, then as
// recorded (fib_table_lookup in net/ipv4/fib_trie.c, find_rr_leaf in net/ipv6/route.c).
func (id *Identity) UplinkRoutes(f Family) []Route {
	var routes []Route
	for _, r := range only(f, id.Routes) {
		isLinkLocal := f == IPv6 && r.Dst.Addr().IsLinkLocalUnicast()
		if r.Table == unix.RT_TABLE_MAIN && r.Type == unix.RTN_UNICAST && r.TOS == 0 && !isLinkLocal && r.leavesThrough(id.Link.Index) {
			routes = append(routes, r)
		}
	}
	slices.SortStableFunc(routes, func(a, b Route) int {
		return cmp.Or(cmp.Compare(b.Dst.Bits(), a.Dst.Bits()), cmp.Compare(a.Metric, b.Metric))
	})
	return routes
}

// defaultRoute returns the default route that the kernel tries first.
func (id *Identity) defaultRoute(f Family) (Route, bool) {
	for _, r := range id.UplinkRoutes(f) {
		if r.Dst.Bits() == 0 {
			return r, true
		}
	}
	return Route{}, false
}
