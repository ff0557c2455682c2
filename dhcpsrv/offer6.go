package dhcpsrv

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// minMTU6 is the least MTU of IPv6 in bytes (RFC 8200, section 5).
const minMTU6 = 1280

// An Offer6 is what the guest is told about IPv6, by router advertisements and by DHCPv6. NewOffer6 makes a valid one: a literal is only
// its argument. The options are encoded once, so a change of the fields after NewOffer6 has no effect on answers.
type Offer6 struct {
	Address     netip.Addr     `json:"address"`                // the pod address: global or unique local
	RouterMAC   MAC            `json:"router_mac"`             // the server's DUID and the router's link-local address are made of it
	Routes      []netip.Prefix `json:"routes,omitempty"`       // destinations of the pod's routes; with ::/0, the switch is the guest's default router
	MTU         int            `json:"mtu"`                    // in bytes, at least 1280; 0: not told
	NameServers []netip.Addr   `json:"name_servers,omitempty"` // option 23, and RDNSS in advertisements
	Search      []string       `json:"search,omitempty"`       // option 24, and DNSSL in advertisements
	Lease       time.Duration  `json:"-"`                      // valid and preferred lifetime; truncated to seconds; "lease_seconds" in JSON
	Expires     time.Time      `json:"expires,omitzero"`       // end of the pod address: nothing that is told about it is valid later; zero: never
	Deprecated  time.Time      `json:"deprecated,omitzero"`    // end of its preferred lifetime; zero: never

	BootFileName   string       `json:"boot_file_name,omitempty"`   // option 59: a URL, or a path on TFTPServerName; empty: not sent
	TFTPServerName string       `json:"tftp_server_name,omitempty"` // a host name or an IPv6 address
	BootParameters []string     `json:"boot_parameters,omitempty"`  // option 60
	BootFiles      []BootFile   `json:"boot_files,omitempty"`       // instead of BootFileName for clients that match; the first match counts
	NTPServers     []netip.Addr `json:"ntp_servers,omitempty"`      // options 56 and 31

	options []option6      // the optional ones, encoded, the most important one first; nil: not made by NewOffer6
	url     string         // of BootFileName
	urls    []string       // of BootFiles, empty for one that has none
	routes  []netip.Prefix // in advertisements
}

// NewOffer6 checks o and encodes its options. The Offer6 that it returns shares no memory with o, and its fields are what the guest gets.
// Values that cannot be sent are omitted, each with a warning: IPv4 addresses, invalid domain names, boot files without a URL, servers,
// domains and routes beyond the size of their options. A name server on the pod's loopback is replaced by the router, with a warning.
//
// NewOffer6 returns an error if Address, RouterMAC, MTU or Lease is missing or out of range.
func NewOffer6(o Offer6) (*Offer6, []string, error) {
	if err := o.check(); err != nil {
		return nil, nil, fmt.Errorf("IPv6 offer: %w", err)
	}
	o.Lease = min(o.Lease.Truncate(time.Second), maxLease)
	var w warnings
	o.Routes = w.cleanRoutes6(o.Routes)
	o.NameServers = w.cleanNameServers(o.NameServers, o.Router(), ipv6)
	o.Search = w.cleanSearch(o.Search)
	o.NTPServers = w.cleanServers("NTP server", o.NTPServers, maxNTPServers, ipv6)
	o.cleanBoot(&w)
	o.options = o.encode()
	o.routes = o.toldRoutes(&w)
	return &o, w, nil
}

// Router returns the router's link-local address: the source of advertisements and replies.
func (o *Offer6) Router() netip.Addr { return LinkLocal(o.RouterMAC) }

// BootURLs returns what option 59 has for BootFileName, and for each of BootFiles. It is empty where the option is not sent.
func (o *Offer6) BootURLs() (url string, ofFiles []string) { return o.url, slices.Clone(o.urls) }

// MarshalJSON returns the fields as an object; the lease is in seconds.
func (o *Offer6) MarshalJSON() ([]byte, error) {
	type fields Offer6
	return json.Marshal(struct {
		*fields
		Seconds int `json:"lease_seconds"`
	}{(*fields)(o), int(o.Lease / time.Second)})
}

// UnmarshalJSON reads the form of MarshalJSON, and makes a valid Offer6 of it as NewOffer6 does.
func (o *Offer6) UnmarshalJSON(data []byte) error {
	type fields Offer6
	var text struct {
		fields
		Seconds int `json:"lease_seconds"`
	}
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	text.Lease = time.Duration(min(max(0, text.Seconds), int(maxLease/time.Second))) * time.Second // bounded first, because the product could overflow
	made, _, err := NewOffer6(Offer6(text.fields))
	if err == nil {
		*o = *made
	}
	return err
}

// check returns an error for a field that an offer cannot do without.
func (o *Offer6) check() error {
	switch {
	case !ipv6.usable(o.Address):
		return fmt.Errorf("pod address %s: want a global or unique local IPv6 address", o.Address)
	case o.RouterMAC == (MAC{}) || o.RouterMAC[0]&1 != 0:
		return fmt.Errorf("router MAC %s: want a unicast address", o.RouterMAC)
	case o.MTU != 0 && (o.MTU < minMTU6 || o.MTU > maxMTU):
		return fmt.Errorf("MTU %d: want %d to %d, or 0 for none: IPv6 needs links of at least %d bytes", o.MTU, minMTU6, maxMTU, minMTU6)
	case o.Lease < minLease:
		return fmt.Errorf("lease %s: want at least %s", o.Lease, minLease)
	}
	return nil
}

// cleanRoutes6 returns the destinations, each once. Link-local and multicast destinations are on every link: they are left out.
func (w *warnings) cleanRoutes6(routes []netip.Prefix) []netip.Prefix {
	var clean []netip.Prefix
	known := make(map[netip.Prefix]bool, len(routes))
	for _, p := range routes {
		switch a := p.Addr(); {
		case !p.IsValid() || !a.Is6() || a.Is4In6():
			w.add("route to %s: not IPv6; not offered", p)
		case p.Bits() > 0 && (a.IsLinkLocalUnicast() || a.IsMulticast()) || known[p.Masked()]:
		default:
			known[p.Masked()] = true
			clean = append(clean, p.Masked())
		}
	}
	return clean
}

// cleanBoot removes values that cannot be sent, and makes the URLs.
func (o *Offer6) cleanBoot(w *warnings) {
	o.BootFileName = w.cleanText("boot file name", o.BootFileName)
	o.TFTPServerName = w.cleanText("TFTP server name", o.TFTPServerName)
	o.BootFiles = w.cleanBootFiles(o.BootFiles)
	given := o.BootParameters
	o.BootParameters = nil // also of an empty list, which JSON leaves out
	for _, p := range given {
		if w.cleanText("boot parameter", p) != "" {
			o.BootParameters = append(o.BootParameters, p)
		}
	}
	o.url, o.urls = w.bootURL(o.BootFileName, o.TFTPServerName), nil
	for _, f := range o.BootFiles {
		o.urls = append(o.urls, w.bootURL(f.Name, o.TFTPServerName))
	}
}

// bootURL returns the URL of a boot file for option 59 (RFC 5970, section 3.1), or nothing if there is none: a path needs a TFTP server
// that the guest reaches by IPv6.
func (w *warnings) bootURL(name, server string) string {
	if name == "" || strings.Contains(name, "://") {
		return name
	}
	host := server
	a, err := netip.ParseAddr(server)
	switch {
	case server == "" || err == nil && !ipv6.usable(a):
		w.add("boot file %q: neither a URL nor a file of a TFTP server with a name or an IPv6 address; not offered by DHCPv6", name)
		return ""
	case err == nil:
		host = "[" + server + "]"
	}
	url := "tftp://" + host + "/" + strings.TrimPrefix(name, "/")
	return w.cleanText("boot file URL", url)
}
