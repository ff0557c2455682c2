package grant

import "net/netip"

// A Forwarder describes what a switch does. Exactly one field is set.
//
// In the description MACs are text, as in 52:54:00:12:34:56, and the empty text is no MAC. Sizes are in bytes. Times are in the unit
// that the name in JSON ends with. It repeats types of vswitch and dhcpsrv, so that a change of those does not reach the wire.
type Forwarder struct {
	Bridge   *Bridge   `json:"bridge,omitempty"`   // Ethernet mode, and a plain learning switch
	Delegate *Delegate `json:"delegate,omitempty"` // IP mode
}

// A Bridge describes a learning switch.
type Bridge struct {
	Ports        int    `json:"ports"`                   // number of ports
	Ageing       int64  `json:"ageing_ns"`               // how long a silent station stays in the table
	Limit        int    `json:"limit"`                   // largest number of stations
	MaxFrame     int    `json:"max_frame"`               // largest frame after segmentation, without VLAN tags; 0: no limit
	Upstream     int    `json:"upstream"`                // port that may reflect frames of the switch; -1: none
	Pinned       string `json:"pinned,omitempty"`        // MAC of the only station at PinnedPort; empty: any station
	PinnedPort   int    `json:"pinned_port,omitempty"`   // number of the port that Pinned is about
	GroupForward uint16 `json:"group_forward,omitempty"` // bit N: frames to 01:80:c2:00:00:0N pass
	ProbeID      uint64 `json:"probe_id,omitempty"`      // random id of the loop guard's probes; 0: no loop guard
	Pod          *Pod   `json:"pod,omitempty"`           // Ethernet mode: the pod at the uplink; absent: plain devices
}

// A Delegate describes IP mode. Its MAC and address are those of Pod.
type Delegate struct {
	Pod        Pod              `json:"pod"`
	RouterMAC  string           `json:"router_mac"`           // MAC that stands for every other host on the guest's side
	PinnedMAC  string           `json:"guest_mac,omitempty"`  // the only MAC that the guest may use; empty: any
	LinkMTU    int              `json:"link_mtu"`             // largest IP packet of the pod interface
	NoARP      bool             `json:"no_arp,omitempty"`     // the pod interface has no ARP and no useful MACs
	Routes     []Route          `json:"routes,omitempty"`     // of the pod, in the order of their use
	Neighbours []Neighbour      `json:"neighbours,omitempty"` // permanent neighbours of the pod's kernel
	Keep       []KeptPort       `json:"keep,omitempty"`       // kept ports, in the order of Dial.Index
	Egress     netip.Addr       `json:"egress,omitzero"`      // source of the pod's own processes at a third port; absent: there is no such port
	EgressMAC  string           `json:"egress_mac,omitempty"` // their MAC there; empty without Egress
	Silent     bool             `json:"silent,omitempty"`     // no TCP and UDP is refused while the switch holds the pod address
	RelayDNS   []netip.AddrPort `json:"relay_dns,omitempty"`  // name servers that only the pod reaches, in the order of Dial.Index
	Rules      []Rule           `json:"rules,omitempty"`      // the first match decides
	Offer      *Offer           `json:"offer,omitempty"`      // the DHCP server's answers; absent: the pod has no IPv4 address
	OfferIPv6  *OfferIPv6       `json:"offer_ipv6,omitempty"` // the DHCPv6 server's answers and router advertisements; absent: no IPv6 address
	Mute       bool             `json:"mute,omitempty"`       // the pod address stays on the pod interface; for status alone
	HoldAfter  int64            `json:"hold_after_ns"`        // how long the guest may be absent before the switch answers for the address
}

// A KeptPort is a port of the pod address that stays with the pod's own processes.
type KeptPort struct {
	Network string `json:"network"`          // "tcp" or "udp"
	Port    uint16 `json:"port"`             // not 0
	Proxy   bool   `json:"proxy,omitempty"`  // the target gets a header of the PROXY protocol, version 2, before each connection or datagram
	Direct  bool   `json:"direct,omitempty"` // served at the egress port: there is no target
}

// A Pod is the pod as podswitch status shows it.
type Pod struct {
	MAC     string       `json:"mac,omitempty"`    // the wire MAC; empty: the link has none
	MTU     int          `json:"mtu"`              // largest IP packet, the smaller of the link's and the default route's
	Address netip.Prefix `json:"address,omitzero"` // the pod address with the plugin's prefix length; absent: none
	Gateway netip.Addr   `json:"gateway,omitzero"` // next hop of the default route; absent: none

	AddressIPv6 netip.Prefix `json:"address_ipv6,omitzero"` // as Address
	GatewayIPv6 netip.Addr   `json:"gateway_ipv6,omitzero"` // as Gateway
}

// A Route is a route of the pod.
type Route struct {
	Destination netip.Prefix `json:"destination"`
	Gateway     netip.Addr   `json:"gateway,omitzero"` // next hop; absent: the destination is on the link
	MTU         int          `json:"mtu,omitempty"`    // largest IP packet; 0: the link's
	AdvMSS      int          `json:"advmss,omitempty"` // largest MSS of a TCP connection to the destination; 0: what fits into the MTU
	Metric      int          `json:"metric,omitempty"` // lower is preferred
}

// A Neighbour is a host on the wire.
type Neighbour struct {
	Address netip.Addr `json:"address"`
	MAC     string     `json:"mac"`
}

// A Rule allows or denies what the guest sends to a destination.
type Rule struct {
	Destination netip.Prefix `json:"destination"`
	Protocol    uint8        `json:"protocol,omitempty"` // IP protocol of Port: 6 is TCP, 17 is UDP; 0: both
	Port        uint16       `json:"port,omitempty"`     // destination port; 0: every packet
	Allow       bool         `json:"allow,omitempty"`
}

// An Offer has the DHCP options for the guest. The address is that of Pod.
type Offer struct {
	Server         netip.Addr      `json:"server"`                      // address of the DHCP server
	Gateway        netip.Addr      `json:"gateway,omitzero"`            // option 3; absent: not sent
	Routes         []OfferRoute    `json:"routes,omitempty"`            // options 121 and 249
	MTU            int             `json:"mtu,omitempty"`               // option 26; 0: not sent
	NameServers    []netip.Addr    `json:"name_servers,omitempty"`      // option 6
	Domain         string          `json:"domain,omitempty"`            // option 15
	Search         []string        `json:"search,omitempty"`            // option 119
	HostName       string          `json:"host_name,omitempty"`         // option 12
	Lease          int64           `json:"lease_seconds"`               // option 51, in seconds
	Valid          int64           `json:"valid_seconds,omitempty"`     // remaining lifetime of the address when the message is sent; 0: unlimited
	Preferred      int64           `json:"preferred_seconds,omitempty"` // remaining preferred lifetime; 0: no effect
	BootFileName   string          `json:"boot_file_name,omitempty"`    // option 67
	TFTPServerName string          `json:"tftp_server_name,omitempty"`  // option 66
	NTPServers     []netip.Addr    `json:"ntp_servers,omitempty"`       // option 42
	Private        []PrivateOption `json:"private_options,omitempty"`   // sent in this order
	BootFiles      []BootFile      `json:"boot_files,omitempty"`        // option 67 for some clients; the first match counts
	Extra          []ExtraOption   `json:"options,omitempty"`           // other options, sent in this order
	Subnet         string          `json:"subnet,omitempty"`            // clients that get a subnet with the gateway in it; "wide": all; "pod": none; empty: those that request no routes
}

// An OfferIPv6 has what the guest is told about IPv6. The address is that of Pod, the router's MAC that of Delegate.
type OfferIPv6 struct {
	Routes         []netip.Prefix `json:"routes,omitempty"`            // destinations of the pod's routes
	MTU            int            `json:"mtu,omitempty"`               // of the link; 0: not told
	NameServers    []netip.Addr   `json:"name_servers,omitempty"`      // option 23, and RDNSS
	Search         []string       `json:"search,omitempty"`            // option 24, and DNSSL
	Lease          int64          `json:"lease_seconds"`               // lifetime of the address, in seconds
	Valid          int64          `json:"valid_seconds,omitempty"`     // as in Offer
	Preferred      int64          `json:"preferred_seconds,omitempty"` // as in Offer
	BootFileName   string         `json:"boot_file_name,omitempty"`    // option 59: a URL, or a path on TFTPServerName
	TFTPServerName string         `json:"tftp_server_name,omitempty"`  // host of the URL
	BootFiles      []BootFile     `json:"boot_files,omitempty"`        // option 59 for some clients; the first match counts
	BootParameters []string       `json:"boot_parameters,omitempty"`   // option 60
	NTPServers     []netip.Addr   `json:"ntp_servers,omitempty"`       // options 56 and 31
}

// An OfferRoute is a classless static route (RFC 3442).
type OfferRoute struct {
	Destination netip.Prefix `json:"destination"`
	Gateway     netip.Addr   `json:"gateway,omitzero"` // absent: the destination is on the link
}

// A BootFile is the boot file for clients of a user class or an architecture.
type BootFile struct {
	UserClass    string  `json:"user_class,omitempty"`   // option 77; empty: any
	Architecture *uint16 `json:"architecture,omitempty"` // option 93; absent: any
	Name         string  `json:"boot_file_name"`         // option 67
}

// An ExtraOption is a DHCP option.
type ExtraOption struct {
	Code  uint8  `json:"option"` // below 224
	Value []byte `json:"value"`  // 1 to 255 bytes
}

// A PrivateOption is a DHCP option for private use (RFC 3942).
type PrivateOption struct {
	Code  uint8  `json:"option"` // 224 to 254
	Value string `json:"value"`  // 1 to 255 bytes
}
