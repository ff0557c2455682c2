package dhcpsrv

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The options that a VM document can add: boot file, TFTP server, NTP servers and options for private use. A value that does not fit
// its option is omitted with a warning, never truncated: a client would ask for a file with half of the name.

// maxBootFile is the length in bytes of a name that the field "file" holds with its final NUL (RFC 2131, section 2).
const maxBootFile = 127

// A PrivateOption is an option for private use (RFC 3942, section 4). The client gets it whether it asks for it or not.
type PrivateOption struct {
	Code  uint8  `json:"option"` // from 224 to 254
	Value string `json:"value"`  // 1 to 255 bytes, sent verbatim
}

// cleanBoot removes values that cannot be sent, and encodes siaddr and the private options.
func (o *Offer) cleanBoot(w *warnings) {
	o.BootFileName = w.cleanText("boot file name", o.BootFileName)
	o.TFTPServerName = w.cleanText("TFTP server name", o.TFTPServerName)
	o.next = netip.IPv4Unspecified()
	if a, err := netip.ParseAddr(o.TFTPServerName); err == nil && usable(a) {
		o.next = a
	}
	o.NTPServers = w.cleanServers("NTP server", o.NTPServers, maxNTPServers)
	o.Private = w.cleanPrivate(o.Private)
	o.private = nil
	for _, p := range o.Private {
		o.private = append(o.private, option{p.Code, []byte(p.Value)})
	}
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

// bootFileField returns the value of the field "file", for clients that read no option 67, or nothing if the name is too long for it.
func (o *Offer) bootFileField() string {
	if len(o.BootFileName) > maxBootFile {
		return ""
	}
	return o.BootFileName
}
