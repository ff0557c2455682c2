package dhcpsrv

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// What a VM document adds to a lease: where to boot from, what the time is, and options for private use. A text that its
// option cannot hold as it is, is left out with a warning: half a file name is worse than none.

// maxBootFile is what the field "file" holds beside its final NUL, in bytes (RFC 2131, section 2).
const maxBootFile = 127

// A PrivateOption is one option for private use (RFC 3942, section 4) with its value as text.
type PrivateOption struct {
	Code  uint8  `json:"option"` // from 224 to 254
	Value string `json:"value"`  // 1 to 255 bytes, which are sent as they are
}

// cleanBoot checks what the VM document adds, and encodes what options alone do not say.
func (o *Offer) cleanBoot(w *warnings) {
	o.BootFileName = w.cleanText("boot file name", o.BootFileName)
	o.TFTPServerName = w.cleanText("TFTP server name", o.TFTPServerName)
	o.next = netip.IPv4Unspecified()
	if a, err := netip.ParseAddr(o.TFTPServerName); err == nil && usable(a) {
		o.next = a
	}
	o.NTPServers = w.cleanNTPServers(o.NTPServers)
	o.Private = w.cleanPrivate(o.Private)
	o.private = nil
	for _, p := range o.Private {
		o.private = append(o.private, option{p.Code, []byte(p.Value)})
	}
}

// cleanText keeps a text of printable characters that one option instance holds: some clients stop at a NUL, and few PXE
// ROMs know of RFC 3396.
func (w *warnings) cleanText(what, given string) string {
	switch {
	case len(given) > maxInstance:
		w.add("%s %.20q...: %d bytes, an option holds %d; the guest is not told of it", what, given, len(given), maxInstance)
	case strings.ContainsFunc(given, func(c rune) bool { return c < ' ' || c == '\x7f' }):
		w.add("%s %q: has control characters, the guest is not told of it", what, given)
	default:
		return given
	}
	return ""
}

// cleanNTPServers keeps the IPv4 addresses that a host can have, each once, as many as one option instance holds.
func (w *warnings) cleanNTPServers(servers []netip.Addr) []netip.Addr {
	var clean []netip.Addr
	for _, a := range servers {
		switch {
		case !usable(a):
			w.add("NTP server %s: must be a unicast IPv4 address, the guest is not told of it", a)
		case slices.Contains(clean, a):
		case len(clean) == maxNTPServers:
			w.add("NTP server %s: the guest is told of the first %d only", a, maxNTPServers)
		default:
			clean = append(clean, a)
		}
	}
	return clean
}

// cleanPrivate keeps the options that can be sent. Whoever writes down option 249 means it, and guests other than Windows
// have the routes from option 121.
func (w *warnings) cleanPrivate(options []PrivateOption) []PrivateOption {
	var clean []PrivateOption
	for _, p := range options {
		what := fmt.Sprintf("private option %d", p.Code)
		switch {
		case p.Code < minPrivate || p.Code > maxPrivate:
			w.add("%s: must be %d to %d, the guest is not told of it", what, minPrivate, maxPrivate)
		case slices.ContainsFunc(clean, func(c PrivateOption) bool { return c.Code == p.Code }):
			w.add("%s: is there already, the guest is told of the first one only", what)
		case p.Value == "" || len(p.Value) > maxInstance:
			w.add("%s: %d bytes, an option holds 1 to %d; the guest is not told of it", what, len(p.Value), maxInstance)
		default:
			if p.Code == optMSRoutes {
				w.add("%s: takes the place of the routes that Windows reads there", what)
			}
			clean = append(clean, p)
		}
	}
	return clean
}

// bootFileField is the boot file name for clients that read the fixed part only, as BOOTP's did: empty where it is longer
// than the field, for then option 67 alone has it.
func (o *Offer) bootFileField() string {
	if len(o.BootFileName) > maxBootFile {
		return ""
	}
	return o.BootFileName
}
