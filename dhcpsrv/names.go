package dhcpsrv

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/insomniacslk/dhcp/rfc1035label"
)

// Names and name servers from the pod's resolv.conf and host name. People write anything there; what no resolver could
// use is left out with a warning, for a pod with an odd resolv.conf must start all the same.

// warnings collects what is not told to the guest, for the log.
type warnings []string

func (w *warnings) add(format string, args ...any) { *w = append(*w, fmt.Sprintf(format, args...)) }

// NeedsRelay tells whether a name server of the pod's is reached by the pod alone: on its loopback, which the unspecified address means to a
// resolver, too (resolv.conf(5)).
func NeedsRelay(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsUnspecified()
}

// cleanNameServers keeps the IPv4 name servers, each once. Instead of the pod's own the guest is told the server, where DNS is
// relayed to them.
func (w *warnings) cleanNameServers(servers []netip.Addr, relay netip.Addr) []netip.Addr {
	var clean []netip.Addr
	for _, a := range servers {
		given := a
		a = a.Unmap()
		if NeedsRelay(a) {
			w.add("name server %s: is the pod's own loopback, the guest is told %s instead", given, relay)
			a = relay
		}
		switch {
		case !a.Is4():
			w.add("name server %s: not IPv4, the guest is not told of it", given)
		case !usable(a):
			w.add("name server %s: not a unicast address, the guest is not told of it", given)
		case slices.Contains(clean, a):
		case len(clean) == maxNameServers:
			w.add("name server %s: the guest is told of the first %d only", given, maxNameServers)
		default:
			clean = append(clean, a)
		}
	}
	return clean
}

// cleanSearch keeps the domains that are names, in lower case and each once, as long as one option instance holds them.
func (w *warnings) cleanSearch(domains []string) []string {
	var clean []string
	for _, given := range domains {
		domain := w.cleanDomain(given)
		if domain == "" || slices.Contains(clean, domain) {
			continue
		}
		longer := append(slices.Clone(clean), domain)
		if len(encodeSearch(longer)) > maxSearchBytes {
			w.add("search domain %q: the list is too long for its DHCP option, the guest is not told of this one", given)
			continue
		}
		clean = longer
	}
	return clean
}

// cleanDomain returns the domain in lower case and without a final dot, or nothing if it is no domain. The last label
// must begin with a letter, so that addresses are no domains.
func (w *warnings) cleanDomain(given string) string {
	if given == "" {
		return ""
	}
	domain := strings.ToLower(strings.TrimSuffix(given, "."))
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	if !validName(domain, "_") || last[0] < 'a' || last[0] > 'z' || strings.Contains(last, "_") {
		w.add("domain %q: must be labels of letters, digits, '_' and '-', the last one beginning with a letter; "+
			"the guest is not told of it", given)
		return ""
	}
	return domain
}

// checkHostName returns the name if it is one (RFC 1123, section 2.1), or else nothing.
func (w *warnings) checkHostName(name string) string {
	if name != "" && !validName(strings.ToLower(name), "") {
		w.add("host name %q: must be labels of letters, digits and '-', the guest is not told of it", name)
		return ""
	}
	return name
}

// validName tells whether name has at most 253 bytes and labels of 1 to 63 bytes, each of lower-case letters, digits,
// the extra characters and inner hyphens, and ending with a letter or a digit unless it is one character long.
func validName(name, extra string) bool {
	const alphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"
	if len(name) > maxHostName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' ||
			strings.Trim(label, alphanumeric+extra+"-") != "" ||
			len(label) > 1 && !strings.Contains(alphanumeric, label[len(label)-1:]) {
			return false
		}
	}
	return true
}

// encodeSearch writes the value of option 119: names as in DNS, without compression, which not every client reads.
func encodeSearch(domains []string) []byte {
	if len(domains) == 0 {
		return nil
	}
	return (&rfc1035label.Labels{Labels: domains}).ToBytes()
}
