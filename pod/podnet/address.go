package podnet

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Forever is the lifetime of an address that does not expire (INFINITY_LIFE_TIME in linux/if_addr.h).
const Forever = math.MaxUint32

// An Address is one address of the link, with every attribute that the kernel reports (linux/if_addr.h).
type Address struct {
	Prefix    netip.Prefix `json:"prefix"`             // the address, and the length of its subnet (of the peer's, if there is a peer)
	Peer      netip.Addr   `json:"peer,omitzero"`      // the other end of a point-to-point address
	Broadcast netip.Addr   `json:"broadcast,omitzero"` // as set; the kernel computes none
	Scope     uint8        `json:"scope"`              // RT_SCOPE_*; 0 is global
	Label     string       `json:"label,omitempty"`    // at most 15 bytes
	Flags     uint32       `json:"flags,omitempty"`    // IFA_F_*
	Metric    uint32       `json:"metric,omitempty"`   // of the prefix route that the kernel adds for the address
	Protocol  uint8        `json:"protocol,omitempty"` // IFAPROT_*
	Valid     uint32       `json:"valid_seconds"`      // remaining seconds at the time of the record; or Forever
	Preferred uint32       `json:"preferred_seconds"`  // as Valid; 0 is a deprecated address
}

// String returns the address as an argument of ip-address(8).
func (a Address) String() string {
	var s strings.Builder
	if a.Peer.IsValid() {
		fmt.Fprintf(&s, "%v peer %v/%d", a.Prefix.Addr(), a.Peer, a.Prefix.Bits())
	} else {
		s.WriteString(a.Prefix.String())
	}
	if a.Scope == unix.RT_SCOPE_LINK {
		s.WriteString(" scope link")
	}
	return s.String()
}

// same reports whether the kernel treats a and b as one address (find_matching_ifa in net/ipv4/devinet.c, ipv6_find_idev_addr_hash in
// net/ipv6/addrconf.c).
func (a Address) same(b Address) bool {
	if a.family() == IPv6 {
		return a.Prefix.Addr() == b.Prefix.Addr()
	}
	return a.Prefix == b.Prefix && a.Peer == b.Peer
}

// isSecondary reports whether the kernel has an earlier address in the same subnet (IFA_F_SECONDARY).
func (a Address) isSecondary() bool { return a.Flags&unix.IFA_F_SECONDARY != 0 }

// aged returns the address with the lifetimes that it would have after d on the link. It returns false if it would have expired.
func (a Address) aged(d time.Duration) (Address, bool) {
	seconds := uint32(min(max(d/time.Second, 0), Forever-1))
	if a.Preferred != Forever {
		a.Preferred -= min(a.Preferred, seconds)
	}
	if a.Valid == Forever {
		return a, true
	}
	if a.Valid <= seconds {
		return a, false
	}
	a.Valid -= seconds
	return a, true
}
