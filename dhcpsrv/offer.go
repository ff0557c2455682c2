package dhcpsrv

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Limits of an offer.
const (
	minLease       = 4 * time.Second           // below it, T1, T2 and the end fall together
	maxLease       = (1<<32 - 2) * time.Second // 2^32-1 would mean "for ever" (RFC 2131, section 3.3)
	minMTU, maxMTU = 68, 65535                 // RFC 2132, section 5.1
	maxNameServers = 5                         // fit beside the longest client identifier in 576 bytes
	maxSearchBytes = maxInstance               // in one instance, for clients that know nothing of RFC 3396
	maxNTPServers  = maxInstance / 4           // likewise
)

// An Offer is all that the guest will be told. It is made once from the pod identity, by NewOffer, and not changed
// afterwards: later changes of the fields do not reach the options.
type Offer struct {
	Address     netip.Prefix  // the pod address with the plugin's prefix length; IPv4
	Server      netip.Addr    // option 54 and the source of replies
	Gateway     netip.Addr    // option 3, and the default route of option 121; the zero Addr: as Routes says
	Routes      []Route       // options 121 and 249, in the order of the pod's table
	MTU         int           // option 26, in bytes; 0: not told
	NameServers []netip.Addr  // option 6
	Domain      string        // option 15; empty: not told
	Search      []string      // option 119
	HostName    string        // option 12; empty: not told
	Lease       time.Duration // option 51; whole seconds count

	BootFileName   string          // option 67, and the field "file" where it fits; empty: not told
	TFTPServerName string          // option 66, and siaddr if it is an IPv4 address; empty: not told
	NTPServers     []netip.Addr    // option 42
	Private        []PrivateOption // in this order, whether a client asks for them or not

	options []option   // everything but the times and the server, encoded; nil: not made by NewOffer
	private []option   // those of Private; they are not among options
	next    netip.Addr // siaddr, the server of the next step of a boot (RFC 2131, table 1); 0.0.0.0: not told
}

// NewOffer checks and cleans what the pod identity and the VM document say, and encodes it. The Offer that it returns
// shares no memory with o, and its fields are what the guest will be told. What cannot be told to a guest, but is no
// reason to fail, is left out with a warning for the log: IPv6, host and domain names that are none, search domains and
// servers beyond the room of their options, texts that no option can hold. A name server on the pod's loopback is replaced
// by Server, with a warning.
//
// An error says that there is no offer without the faulty field.
func NewOffer(o Offer) (*Offer, []string, error) {
	if err := o.check(); err != nil {
		return nil, nil, fmt.Errorf("dhcp offer: %w", err)
	}
	o.Lease = min(o.Lease.Truncate(time.Second), maxLease)
	var w warnings
	o.Routes = w.cleanRoutes(o.Routes)
	if !o.Gateway.IsValid() || o.Gateway.IsUnspecified() {
		o.Gateway = defaultGateway(o.Routes)
	}
	o.NameServers = w.cleanNameServers(o.NameServers, o.Server)
	o.Search = w.cleanSearch(o.Search)
	o.Domain = w.cleanDomain(o.Domain)
	o.HostName = w.checkHostName(o.HostName)
	o.cleanBoot(&w)
	o.options = o.encode()
	return &o, w, nil
}

// An offerText is an Offer in JSON, with the lease in seconds.
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

	BootFileName   string          `json:"boot_file_name,omitempty"`
	TFTPServerName string          `json:"tftp_server_name,omitempty"`
	NTPServers     []netip.Addr    `json:"ntp_servers,omitempty"`
	Private        []PrivateOption `json:"private_options,omitempty"`
}

type routeText struct {
	Destination netip.Prefix `json:"destination"`
	Gateway     netip.Addr   `json:"gateway,omitzero"`
}

// MarshalJSON writes what the guest will be told.
func (o *Offer) MarshalJSON() ([]byte, error) {
	text := offerText{o.Address, o.Server, o.Gateway, []routeText{}, o.MTU, o.NameServers, o.Domain, o.Search, o.HostName,
		int(o.Lease / time.Second), o.BootFileName, o.TFTPServerName, o.NTPServers, o.Private}
	for _, r := range o.Routes {
		text.Routes = append(text.Routes, routeText(r))
	}
	return json.Marshal(text)
}

// UnmarshalJSON reads what MarshalJSON wrote, and makes an Offer of it as NewOffer does.
func (o *Offer) UnmarshalJSON(data []byte) error {
	var text offerText
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	given := Offer{Address: text.Address, Server: text.Server, Gateway: text.Gateway, MTU: text.MTU, NameServers: text.NameServers,
		Domain: text.Domain, Search: text.Search, HostName: text.HostName,
		Lease:        time.Duration(min(max(0, text.Lease), int(maxLease/time.Second))) * time.Second, // which would overflow otherwise
		BootFileName: text.BootFileName, TFTPServerName: text.TFTPServerName, NTPServers: text.NTPServers, Private: text.Private}
	for _, r := range text.Routes {
		given.Routes = append(given.Routes, Route(r))
	}
	made, _, err := NewOffer(given)
	if err == nil {
		*o = *made
	}
	return err
}

// check returns an error for a field that no guest can be told.
func (o *Offer) check() error {
	host := o.Address.Addr()
	switch {
	case !o.Address.IsValid() || !usable(host):
		return fmt.Errorf("pod address %s: must be a unicast IPv4 address with a prefix length", o.Address)
	case !usable(o.Server) || o.Server == host:
		return fmt.Errorf("server %s: must be a unicast IPv4 address other than the pod's", o.Server)
	case o.Gateway.IsValid() && !o.Gateway.Is4():
		return fmt.Errorf("gateway %s: must be an IPv4 address or none", o.Gateway)
	case o.MTU != 0 && (o.MTU < minMTU || o.MTU > maxMTU):
		return fmt.Errorf("MTU %d: must be %d to %d, or 0 for none", o.MTU, minMTU, maxMTU)
	case o.Lease < minLease:
		return fmt.Errorf("lease %s: must be at least %s", o.Lease, minLease)
	}
	return nil
}

// usable tells whether a host can have the address a.
func usable(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != everybody()
}

// everybody is the limited broadcast address.
func everybody() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// encode returns the options that do not depend on the client, in the order of a reply without option 55. None is empty.
func (o *Offer) encode() []option {
	options := []option{{optMask, net.CIDRMask(o.Address.Bits(), 32)}}
	if o.Gateway.IsValid() {
		options = append(options, option{optRouter, o.Gateway.AsSlice()})
	}
	routes := encodeRoutes(o.classlessRoutes())
	options = append(options,
		option{optNameServers, encodeAddrs(o.NameServers)},
		option{optHostName, []byte(o.HostName)},
		option{optDomain, []byte(o.Domain)})
	if o.MTU != 0 {
		options = append(options, option{optMTU, binary.BigEndian.AppendUint16(nil, uint16(o.MTU))})
	}
	options = append(options,
		option{optBroadcast, directedBroadcast(o.Address)},
		option{optNTPServers, encodeAddrs(o.NTPServers)},
		option{optTFTPServer, []byte(o.TFTPServerName)},
		option{optBootFile, []byte(o.BootFileName)},
		option{optSearch, encodeSearch(o.Search)},
		option{optRoutes, routes},
		option{optMSRoutes, routes})
	return slices.DeleteFunc(options, func(chosen option) bool { return len(chosen.value) == 0 || find(o.private, chosen.code) >= 0 })
}

// encodeAddrs writes IPv4 addresses one after the other.
func encodeAddrs(addrs []netip.Addr) (value []byte) {
	for _, a := range addrs {
		value = append(value, a.AsSlice()...)
	}
	return value
}

// directedBroadcast returns the last address of the prefix, or nothing where that is a host (RFC 3021) or the only one.
func directedBroadcast(p netip.Prefix) []byte {
	if p.Bits() > 30 {
		return nil
	}
	last := p.Addr().As4()
	hosts := uint32(1)<<(32-p.Bits()) - 1
	return binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(last[:])|hosts)
}
