package dhcpsrv

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The options that a VM document can add: boot files, TFTP server, NTP servers, options for private use and other options. A value that
// does not fit its option is omitted with a warning, never truncated: a client would ask for a file with half of the name.

// maxBootFile is the length in bytes of a name that the field "file" holds with its final NUL (RFC 2131, section 2).
const maxBootFile = 127

// A PrivateOption is an option for private use (RFC 3942, section 4). The client gets it whether it asks for it or not.
type PrivateOption struct {
	Code  uint8  `json:"option"` // from 224 to 254
	Value string `json:"value"`  // 1 to 255 bytes, sent verbatim
}

// A BootFile is a boot file for some clients: for those that a boot loader has started, or for one architecture.
type BootFile struct {
	UserClass    string  `json:"user_class,omitempty"`   // option 77 of the client, such as "iPXE"; empty: any
	Architecture *uint16 `json:"architecture,omitempty"` // option 93 of the client (RFC 4578, section 2.1), such as 7 for UEFI on x86-64; nil: any
	Name         string  `json:"boot_file_name"`         // options 67 and "file" for such a client
}

// An ExtraOption is a DHCP option that the server has no other value for. The client gets it whether it asks for it or not.
type ExtraOption struct {
	Code  uint8  `json:"option"`
	Value []byte `json:"value"` // 1 to 255 bytes
}

// IsExtra reports whether an ExtraOption may have the code. It returns false for options that follow from other fields of the Offer or
// from the lease, for options that only clients and relays send, and for private use.
func IsExtra(code uint8) bool {
	switch code {
	case optPad, optMask, optRouter, optNameServers, optHostName, optDomain, optMTU, optBroadcast, optNTPServers, optRequested, optLeaseTime,
		optOverload, optMessageType, optServer, optRequestList, optMessage, optMaximumSize, optRenewalTime, optRebindingTime, optClientID,
		optTFTPServer, optBootFile, optUserClass, optRelayAgent, optArchitecture, optSearch, optRoutes:
		return false
	}
	return code < minPrivate
}

// cleanBoot removes values that cannot be sent, and encodes siaddr and the private options.
func (o *Offer) cleanBoot(w *warnings) {
	o.BootFileName = w.cleanText("boot file name", o.BootFileName)
	o.TFTPServerName = w.cleanText("TFTP server name", o.TFTPServerName)
	o.next = netip.IPv4Unspecified()
	if a, err := netip.ParseAddr(o.TFTPServerName); err == nil && ipv4.usable(a) {
		o.next = a
	}
	o.NTPServers = w.cleanServers("NTP server", o.NTPServers, maxNTPServers, ipv4)
	o.BootFiles = w.cleanBootFiles(o.BootFiles)
	o.Private = w.cleanPrivate(o.Private)
	o.Extra = w.cleanExtra(o.Extra)
	o.private = nil
	for _, p := range o.Private {
		o.private = append(o.private, option{p.Code, []byte(p.Value)})
	}
	for _, e := range o.Extra {
		o.private = append(o.private, option{e.Code, e.Value})
	}
}

// cleanBootFiles returns the boot files that can be sent and that are not for every client.
func (w *warnings) cleanBootFiles(files []BootFile) (clean []BootFile) {
	for _, f := range files {
		if f.UserClass == "" && f.Architecture == nil {
			w.add("boot file %q: neither a user class nor an architecture; not offered", f.Name)
			continue
		}
		if f.Name = w.cleanText("boot file name", f.Name); f.Name != "" {
			clean = append(clean, f)
		}
	}
	return clean
}

// cleanExtra returns the options that can be sent.
func (w *warnings) cleanExtra(options []ExtraOption) (clean []ExtraOption) {
	for _, e := range options {
		what := fmt.Sprintf("option %d", e.Code)
		switch {
		case !IsExtra(e.Code):
			w.add("%s: follows from other settings, or is not the server's; not offered", what)
		case slices.ContainsFunc(clean, func(c ExtraOption) bool { return c.Code == e.Code }):
			w.add("%s: duplicate; only the first one is offered", what)
		case len(e.Value) == 0 || len(e.Value) > maxInstance:
			w.add("%s: %d bytes, want 1 to %d; not offered", what, len(e.Value), maxInstance)
		default:
			clean = append(clean, ExtraOption{e.Code, slices.Clone(e.Value)})
		}
	}
	return clean
}

// cleanText returns a text of printable characters that one option instance holds, or nothing: some clients stop at a NUL, and few
// PXE ROMs implement RFC 3396.
func (w *warnings) cleanText(what, given string) string {
	switch {
	case len(given) > maxInstance:
		w.add("%s %.20q...: %d bytes, want at most %d; not offered", what, given, len(given), maxInstance)
	case strings.ContainsFunc(given, func(c rune) bool { return c < ' ' || c == '\x7f' }):
		w.add("%s %q: control characters; not offered", what, given)
	default:
		return given
	}
	return ""
}

// cleanPrivate returns the options that can be sent. An explicit option 249 replaces the routes for Windows; other clients have them
// from option 121.
func (w *warnings) cleanPrivate(options []PrivateOption) []PrivateOption {
	var clean []PrivateOption
	for _, p := range options {
		what := fmt.Sprintf("private option %d", p.Code)
		switch {
		case p.Code < minPrivate || p.Code > maxPrivate:
			w.add("%s: want %d to %d; not offered", what, minPrivate, maxPrivate)
		case slices.ContainsFunc(clean, func(c PrivateOption) bool { return c.Code == p.Code }):
			w.add("%s: duplicate; only the first one is offered", what)
		case p.Value == "" || len(p.Value) > maxInstance:
			w.add("%s: %d bytes, want 1 to %d; not offered", what, len(p.Value), maxInstance)
		default:
			if p.Code == optMSRoutes {
				w.add("%s: replaces the routes that Windows reads there", what)
			}
			clean = append(clean, p)
		}
	}
	return clean
}

// bootFile returns the boot file for the client: that of the first BootFile which matches, or else BootFileName.
func (x *exchange) bootFile() string {
	if i := matchBootFile(x.offer.BootFiles, x.request.hasUserClass, x.request.architectures); i >= 0 {
		return x.offer.BootFiles[i].Name
	}
	return x.offer.BootFileName
}

// matchBootFile returns the index of the first file for a client with these classes and architectures, or -1.
func matchBootFile(files []BootFile, hasUserClass func(string) bool, architectures []uint16) int {
	return slices.IndexFunc(files, func(f BootFile) bool {
		return (f.UserClass == "" || hasUserClass(f.UserClass)) && (f.Architecture == nil || slices.Contains(architectures, *f.Architecture))
	})
}

// hasUserClass reports whether option 77 is or contains the class. RFC 3004 puts a length before each class; iPXE sends its own without.
func (req *request) hasUserClass(class string) bool {
	value := req.userClass
	if string(value) == class {
		return true
	}
	for len(value) > 0 && int(value[0]) < len(value) {
		n := int(value[0])
		if string(value[1:1+n]) == class {
			return true
		}
		value = value[1+n:]
	}
	return false
}

// bootFileField returns the value of the field "file", for clients that read no option 67, or nothing if the name is too long for it.
func bootFileField(name string) string {
	if len(name) > maxBootFile {
		return ""
	}
	return name
}

// httpClient is what UEFI HTTP Boot has in option 60, followed by its architecture, and wants in option 60 of an offer with the URI of a
// boot file (UEFI 2.10, section 24.7.3.1).
const httpClient = "HTTPClient"

// wantsHTTP reports whether the client does HTTP Boot, and its boot file has a URI.
func (x *exchange) wantsHTTP() bool {
	return strings.HasPrefix(string(x.request.vendorClass), httpClient) && isHTTP(x.bootFile())
}

// isHTTP reports whether a boot file is fetched by HTTP.
func isHTTP(name string) bool {
	return strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://")
}
