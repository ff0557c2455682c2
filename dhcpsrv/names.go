package dhcpsrv

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/insomniacslk/dhcp/rfc1035label"
)

// Names and name servers from the pod's resolv.conf and host name. An entry that no resolver could use is omitted with a warning: a
// pod with an unusual resolv.conf must start.

// warnings are the values that are not offered, each with the reason.
type warnings []string

func (w *warnings) add(format string, args ...any) { *w = append(*w, fmt.Sprintf(format, args...)) }

// NeedsRelay reports whether a guest reaches the name server only through a relay: the address is the pod's loopback, or the
// unspecified address, which means the same to a resolver (resolv.conf(5)).
func NeedsRelay(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsUnspecified()
}

// A family is a version of IP.
type family string

const (
	ipv4 family = "IPv4"
	ipv6 family = "IPv6"
)

// usable reports whether a is an address of the family that a host beyond the link can have.
func (f family) usable(a netip.Addr) bool {
	if f == ipv6 {
		return a.Is6() && !a.Is4In6() && a.Zone() == "" && a.IsGlobalUnicast() // which includes unique local addresses
	}
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != limitedBroadcast()
}

// SplitFamilies returns the servers for an Offer and those for an Offer6 of a pod that has both addresses. Servers that need a relay are in
// both lists, because the guest reaches the relay by either IP version.
func SplitFamilies(servers []netip.Addr) (v4, v6 []netip.Addr) {
	for _, a := range servers {
		if a.Unmap().Is4() || NeedsRelay(a) {
			v4 = append(v4, a)
		}
		if !a.Unmap().Is4() || NeedsRelay(a) {
			v6 = append(v6, a)
		}
	}
	return v4, v6
}

// cleanNameServers returns the name servers of the family, and relay in place of those on the pod's loopback.
func (w *warnings) cleanNameServers(servers []netip.Addr, relay netip.Addr, f family) []netip.Addr {
	var reachable []netip.Addr
	for _, a := range servers {
		if NeedsRelay(a) {
			w.add("name server %s: on the pod's loopback; %s is offered instead", a, relay)
			a = relay
		}
		reachable = append(reachable, a.Unmap())
	}
	return w.cleanServers("name server", reachable, maxNameServers, f, relay)
}

// cleanServers returns the unicast addresses of the family, and own, without duplicates, and at most limit of them.
func (w *warnings) cleanServers(what string, servers []netip.Addr, limit int, f family, own ...netip.Addr) []netip.Addr {
	var clean []netip.Addr
	for _, a := range servers {
		switch {
		case !f.usable(a) && !slices.Contains(own, a):
			w.add("%s %s: want a unicast %s address; not offered", what, a, f)
		case slices.Contains(clean, a):
		case len(clean) == limit:
			w.add("%s %s: only the first %d are offered", what, a, limit)
		default:
			clean = append(clean, a)
		}
	}
	return clean
}

// cleanSearch returns the valid domains in lower case without duplicates, as many as one option instance holds.
func (w *warnings) cleanSearch(domains []string) []string {
	var clean []string
	for _, given := range domains {
		domain := w.cleanDomain(given)
		if domain == "" || slices.Contains(clean, domain) {
			continue
		}
		longer := append(slices.Clone(clean), domain)
		if len(encodeSearch(longer)) > maxSearchBytes {
			w.add("search domain %q: the option is full; not offered", given)
			continue
		}
		clean = longer
	}
	return clean
}

// cleanDomain returns the domain in lower case and without a final dot, or nothing if it is invalid. The last label must begin with a
// letter, which an IPv4 address does not.
func (w *warnings) cleanDomain(given string) string {
	if given == "" {
		return ""
	}
	domain := strings.ToLower(strings.TrimSuffix(given, "."))
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	if !validName(domain, "_") || last[0] < 'a' || last[0] > 'z' || strings.Contains(last, "_") {
		w.add("domain %q: want labels of letters, digits, '_' and '-', the last one beginning with a letter; "+
			"not offered", given)
		return ""
	}
	return domain
}

// checkHostName returns the name if it is valid (RFC 1123, section 2.1), or nothing.
func (w *warnings) checkHostName(name string) string {
	if name != "" && !validName(strings.ToLower(name), "") {
		w.add("host name %q: want labels of letters, digits and '-'; not offered", name)
		return ""
	}
	return name
}

// validName reports whether name has at most 253 bytes and labels of 1 to 63 bytes, each of lower-case letters, digits,
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

// encodeSearch returns the value of option 119 (RFC 3397), without compression, which some clients do not read.
func encodeSearch(domains []string) []byte {
	if len(domains) == 0 {
		return nil
	}
	return (&rfc1035label.Labels{Labels: domains}).ToBytes()
}
