package dhcpsrv

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Limits of an offer.
const (
	minLease       = 4 * time.Second           // in less, T1, T2 and the expiry are the same second
	maxLease       = (1<<32 - 2) * time.Second // 2^32-1 means infinity (RFC 2131, section 3.3)
	minMTU, maxMTU = 68, 65535                 // RFC 2132, section 5.1
	maxNameServers = 5                         // with the longest client identifier they fit into 576 bytes
	maxSearchBytes = maxInstance               // one instance: not every client implements RFC 3396
	maxNTPServers  = maxInstance / 4           // one instance
)

// An Offer is the configuration of the client. NewOffer makes a valid one: a literal is only its argument. The options are encoded
// once, so a change of the fields after NewOffer has no effect on answers.
type Offer struct {
	Address     netip.Prefix  // the pod address with the prefix length of its subnet; IPv4
	Server      netip.Addr    // option 54 and the source of replies
	Gateway     netip.Addr    // option 3, and the default route of option 121; the zero Addr: the default route of Routes
	Routes      []Route       // options 121 and 249, in order of preference
	MTU         int           // option 26, in bytes; 0: not sent
	NameServers []netip.Addr  // option 6
	Domain      string        // option 15; empty: not sent
	Search      []string      // option 119
	HostName    string        // option 12; empty: not sent
	Lease       time.Duration // option 51; truncated to seconds
	Expires     time.Time     // end of the pod address: no lease ends later; zero: never
	Deprecated  time.Time     // end of its preferred lifetime: T1 and T2 are earlier (RFC 8415, section 21.4); zero or past: no effect

	BootFileName   string          // option 67, and the field "file" if it fits; empty: not sent
	TFTPServerName string          // option 66, and siaddr if it is an IPv4 address; empty: not sent
	NTPServers     []netip.Addr    // option 42
	BootFiles      []BootFile      // instead of BootFileName for clients that match; the first match counts
	Private        []PrivateOption // sent in this order, even if the client does not ask for them
	Extra          []ExtraOption   // sent after Private, even if the client does not ask for them

	Subnet Subnet // which clients get a subnet that has the gateway in it

	options []option     // encoded, without times, server and Private; nil: not made by NewOffer
	private []option     // Private and Extra, encoded
	next    netip.Addr   // siaddr, the server of the next step of a boot (RFC 2131, table 1); 0.0.0.0: none
	subnet  netip.Prefix // what the mask says
	wide    []option     // 1, 3 and 28 for a client that does not read routes; nil: as in options
	routes  []byte       // value of option 121
	first   int          // bytes of routes that are sent before any other option that may be omitted
}

// NewOffer checks o and encodes its options. The Offer that it returns shares no memory with o, and its fields are what the client
// gets. Values that cannot be sent are omitted, each with a warning: IPv6 addresses, invalid host and domain names, search domains and
// servers beyond the size of their options, texts that no option can hold. A name server on the pod's loopback is replaced by Server,
// with a warning. An on-link default route makes Server the Gateway.
//
// NewOffer returns an error if Subnet is unknown, if Address, Server or Lease is missing, or if one of them, Gateway or MTU is out of range.
func NewOffer(o Offer) (*Offer, []string, error) {
	if err := o.check(); err != nil {
		return nil, nil, fmt.Errorf("dhcp offer: %w", err)
	}
	o.Lease = min(o.Lease.Truncate(time.Second), maxLease)
	var w warnings
	o.Routes = w.cleanRoutes(o.Routes)
	if !o.Gateway.IsValid() || o.Gateway.IsUnspecified() {
		o.Gateway = o.defaultGateway()
	}
	o.widen()
	o.NameServers = w.cleanNameServers(o.NameServers, o.Server, ipv4)
	o.Search = w.cleanSearch(o.Search)
	o.Domain = w.cleanDomain(o.Domain)
	o.HostName = w.checkHostName(o.HostName)
	o.cleanBoot(&w)
	o.options = o.encode()
	o.warnOfRoutes(&w)
	return &o, w, nil
}

// An offerText is the JSON form of an Offer.
type offerText struct {
	Address     netip.Prefix `json:"address"`
	Server      netip.Addr   `json:"server"`
	Gateway     netip.Addr   `json:"gateway,omitzero"`
	Routes      []routeText  `json:"routes"`
	MTU         int          `json:"mtu"`
	NameServers []netip.Addr `json:"name_servers,omitempty"`
	Domain      string       `json:"domain,omitempty"`
	Search      []string     `json:"search,omitempty"`
	HostName    string       `json:"host_name,omitempty"`
	Lease       int          `json:"lease_seconds"`
	Expires     time.Time    `json:"expires,omitzero"`
	Deprecated  time.Time    `json:"deprecated,omitzero"`

	BootFileName   string          `json:"boot_file_name,omitempty"`
	TFTPServerName string          `json:"tftp_server_name,omitempty"`
	NTPServers     []netip.Addr    `json:"ntp_servers,omitempty"`
	Private        []PrivateOption `json:"private_options,omitempty"`

	BootFiles []BootFile    `json:"boot_files,omitempty"`
	Extra     []ExtraOption `json:"options,omitempty"` // values in base64
	Subnet    Subnet        `json:"subnet,omitempty"`
}

type routeText struct {
	Destination netip.Prefix `json:"destination"`
	Gateway     netip.Addr   `json:"gateway,omitzero"`
}

// MarshalJSON returns the fields as an object; the lease is in seconds.
func (o *Offer) MarshalJSON() ([]byte, error) {
	text := offerText{o.Address, o.Server, o.Gateway, []routeText{}, o.MTU, o.NameServers, o.Domain, o.Search, o.HostName,
		int(o.Lease / time.Second), o.Expires, o.Deprecated, o.BootFileName, o.TFTPServerName, o.NTPServers, o.Private,
		o.BootFiles, o.Extra, o.Subnet}
	for _, r := range o.Routes {
		text.Routes = append(text.Routes, routeText(r))
	}
	return json.Marshal(text)
}

// UnmarshalJSON reads the form of MarshalJSON, and makes a valid Offer of it as NewOffer does.
func (o *Offer) UnmarshalJSON(data []byte) error {
	var text offerText
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	given := Offer{Address: text.Address, Server: text.Server, Gateway: text.Gateway, MTU: text.MTU, NameServers: text.NameServers,
		Domain: text.Domain, Search: text.Search, HostName: text.HostName,
		Lease:   time.Duration(min(max(0, text.Lease), int(maxLease/time.Second))) * time.Second, // bounded first, because the product could overflow
		Expires: text.Expires, Deprecated: text.Deprecated,
		BootFileName: text.BootFileName, TFTPServerName: text.TFTPServerName, NTPServers: text.NTPServers, Private: text.Private,
		BootFiles: text.BootFiles, Extra: text.Extra, Subnet: text.Subnet}
	for _, r := range text.Routes {
		given.Routes = append(given.Routes, Route(r))
	}
	made, _, err := NewOffer(given)
	if err == nil {
		*o = *made
	}
	return err
}

// check returns an error for a field that an offer cannot do without.
func (o *Offer) check() error {
	host := o.Address.Addr()
	switch {
	case !o.Address.IsValid() || !ipv4.usable(host):
		return fmt.Errorf("pod address %s: want a unicast IPv4 address with a prefix length", o.Address)
	case !ipv4.usable(o.Server) || o.Server == host:
		return fmt.Errorf("server %s: want a unicast IPv4 address other than the pod's", o.Server)
	case o.Gateway.IsValid() && !o.Gateway.Is4():
		return fmt.Errorf("gateway %s: want an IPv4 address, or none", o.Gateway)
	case o.MTU != 0 && (o.MTU < minMTU || o.MTU > maxMTU):
		return fmt.Errorf("MTU %d: want %d to %d, or 0 for none", o.MTU, minMTU, maxMTU)
	case o.Subnet != SubnetAuto && o.Subnet != SubnetWide && o.Subnet != SubnetPod:
		return fmt.Errorf("subnet %q: want %q, %q, or nothing", o.Subnet, SubnetWide, SubnetPod)
	case o.Lease < minLease:
		return fmt.Errorf("lease %s: want at least %s", o.Lease, minLease)
	}
	return nil
}

// limitedBroadcast returns 255.255.255.255.
func limitedBroadcast() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// encode returns the options that do not depend on the client, in the order of a reply to a client without option 55. No value is
// empty, except that of 67 if there are BootFiles.
func (o *Offer) encode() []option {
	options := subnetOptions(o.subnet, o.Gateway)
	broadcast := options[2]
	options = options[:2]
	routes, first := o.classlessRoutes()
	o.routes, o.first = encodeRoutes(routes), len(encodeRoutes(routes[:first]))
	options = append(options,
		option{optNameServers, encodeAddrs(o.NameServers)},
		option{optHostName, []byte(o.HostName)},
		option{optDomain, []byte(o.Domain)})
	if o.MTU != 0 {
		options = append(options, option{optMTU, binary.BigEndian.AppendUint16(nil, uint16(o.MTU))})
	}
	options = append(options,
		broadcast,
		option{optNTPServers, encodeAddrs(o.NTPServers)},
		option{optTFTPServer, []byte(o.TFTPServerName)},
		option{optBootFile, []byte(o.BootFileName)},
		option{optSearch, encodeSearch(o.Search)},
		option{optRoutes, o.routes},
		option{optMSRoutes, o.routes})
	return slices.DeleteFunc(options, func(chosen option) bool {
		perClient := chosen.code == optBootFile && len(o.BootFiles) > 0
		return len(chosen.value) == 0 && !perClient || find(o.private, chosen.code) >= 0
	})
}

// encodeAddrs concatenates addresses.
func encodeAddrs(addrs []netip.Addr) (value []byte) {
	for _, a := range addrs {
		value = append(value, a.AsSlice()...)
	}
	return value
}

// directedBroadcast returns the last address of the prefix, or nothing in a /31, where it is a host (RFC 3021), and in a /32.
func directedBroadcast(p netip.Prefix) []byte {
	if p.Bits() > 30 {
		return nil
	}
	last := p.Addr().As4()
	hosts := uint32(1)<<(32-p.Bits()) - 1
	return binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(last[:])|hosts)
}
