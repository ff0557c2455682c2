// Package podnet knows the pod identity: what the pod interface said before anything changed. It discovers the identity,
// takes the pod's IPv4 addresses off the interface and gives everything back exactly, also after a crash.
//
// # Theory of operation
//
// The address has exactly one holder. Before Take changes anything it writes the identity to a state file; from then on
// the file's existence means "the kernel may not be the holder", and whoever finds the file puts the interface back:
//
//	Take:      state file → silence the kernel → remove the addresses, last one first
//	GiveBack:  addresses → routes → neighbours → sysctls → let the kernel speak → remove the state file
//	Recover:   the same as GiveBack, from the state file alone
//
// Every step of giving back looks at what is there and adds what is missing, so a stop at any point of either direction
// leaves something that Recover completes. The silence is an nftables table that the kernel itself removes when the
// process ends.
//
// Everything happens in the network namespace of the calling thread. IPv6 is left to the pod's kernel. No netlink type
// leaves this package.
package podnet

import (
	"cmp"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// A MAC is an Ethernet address in network byte order. The zero MAC means "none". It converts to vswitch.MAC.
type MAC [6]byte

// String writes m as 02:00:00:00:00:01.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText writes m as String does.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (m *MAC) UnmarshalText(text []byte) error {
	hw, err := net.ParseMAC(string(text))
	if err != nil {
		return err
	}
	if len(hw) != len(m) {
		return &net.AddrError{Err: "MAC address must have 6 bytes", Addr: string(text)}
	}
	*m = MAC(hw)
	return nil
}

// An Identity is everything that a pod interface says about its pod. It is the content of the state file.
type Identity struct {
	Namespace  Namespace   `json:"namespace"`
	Link       Link        `json:"link"`
	Addresses  []Address   `json:"addresses"`            // IPv4, in the kernel's order
	Routes     []Route     `json:"routes,omitempty"`     // IPv4, in the kernel's order; see Route
	Neighbours []Neighbour `json:"neighbours,omitempty"` // IPv4, those with a link-layer address, and proxies
	HostName   string      `json:"host_name,omitempty"`
	Resolv     Resolv      `json:"resolv"`
}

// A Link is the pod interface itself.
type Link struct {
	Name     string `json:"name"`
	Index    int    `json:"index"`
	MAC      MAC    `json:"mac"` // zero where the link has none
	MTU      int    `json:"mtu"` // bytes of the largest IP packet
	Up       bool   `json:"up"`
	NoARP    bool   `json:"no_arp,omitempty"`
	Ethernet bool   `json:"ethernet"`       // frames have an Ethernet header
	Kind     string `json:"kind,omitempty"` // rtnetlink's kind, such as "veth"; "device" for hardware
}

// PodAddress returns the first global unicast IPv4 address of the interface, with its prefix: the pod address. False
// means that there is none, as on an interface without IPAM.
func (id *Identity) PodAddress() (netip.Prefix, bool) {
	for _, a := range id.Addresses {
		if a.Scope == unix.RT_SCOPE_UNIVERSE && a.Prefix.Addr().Is4() && a.Prefix.Addr().IsGlobalUnicast() {
			return a.Prefix, true
		}
	}
	return netip.Prefix{}, false
}

// Gateway returns the IPv4 next hop of the default route with the lowest metric. False means that there is no default
// route, or that it has no IPv4 next hop on this link.
func (id *Identity) Gateway() (netip.Addr, bool) {
	r, ok := id.defaultRoute()
	if !ok {
		return netip.Addr{}, false
	}
	for _, hop := range r.hops() {
		if hop.Link == id.Link.Index && hop.Gateway.Is4() {
			return hop.Gateway, true
		}
	}
	return netip.Addr{}, false
}

// MTU returns the size in bytes of the largest IP packet that reaches the world beyond the gateway: the smaller of link
// and default route. Some plugins (Cilium, OVN-Kubernetes) say the truth in the route only.
func (id *Identity) MTU() int {
	mtu := id.Link.MTU
	if r, ok := id.defaultRoute(); ok {
		if m := int(r.Metrics["mtu"]); m > 0 && m < mtu {
			mtu = m
		}
	}
	return mtu
}

// UplinkRoutes returns the unicast routes of the main table that leave through the link, in the order in which the
// kernel tries them for a destination: longest prefix first, then lowest metric, then as recorded.
func (id *Identity) UplinkRoutes() []Route {
	var routes []Route
	for _, r := range id.Routes {
		if r.Table == unix.RT_TABLE_MAIN && r.Type == unix.RTN_UNICAST && r.TOS == 0 && r.uses(id.Link.Index) {
			routes = append(routes, r)
		}
	}
	slices.SortStableFunc(routes, func(a, b Route) int {
		return cmp.Or(cmp.Compare(b.Dst.Bits(), a.Dst.Bits()), cmp.Compare(a.Metric, b.Metric))
	})
	return routes
}

// defaultRoute returns the default route that the kernel tries first.
func (id *Identity) defaultRoute() (Route, bool) {
	for _, r := range id.UplinkRoutes() {
		if r.Dst.Bits() == 0 {
			return r, true
		}
	}
	return Route{}, false
}
