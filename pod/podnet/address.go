package podnet

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Forever is the lifetime of an address that does not expire.
const Forever = math.MaxUint32

// Attributes that golang.org/x/sys/unix lacks (linux/if_addr.h).
const ifaProto = 11

// addressFlagsOfKernel are those that the kernel computes; they are recorded but not asked for.
const addressFlagsOfKernel = unix.IFA_F_SECONDARY | unix.IFA_F_PERMANENT | unix.IFA_F_DEPRECATED | unix.IFA_F_TENTATIVE

// An Address is one IPv4 address of the link, with everything that the kernel tells about it (linux/if_addr.h).
type Address struct {
	Prefix    netip.Prefix `json:"prefix"`             // the address and the length of its network (of the peer's, if there is one)
	Peer      netip.Addr   `json:"peer,omitzero"`      // the other end of a point-to-point address
	Broadcast netip.Addr   `json:"broadcast,omitzero"` // as set, not as computed
	Scope     uint8        `json:"scope"`              // RT_SCOPE_*; 0 is global
	Label     string       `json:"label,omitempty"`
	Flags     uint32       `json:"flags,omitempty"`  // IFA_F_*
	Metric    uint32       `json:"metric,omitempty"` // of the prefix route that the kernel makes
	Protocol  uint8        `json:"protocol,omitempty"`
	Valid     uint32       `json:"valid_seconds"`     // Forever, or what was left when it was recorded
	Preferred uint32       `json:"preferred_seconds"` // the same
}

// String writes the address as the ip command would be told.
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

// same tells whether a and b are one address in the kernel's eyes.
func (a Address) same(b Address) bool { return a.Prefix == b.Prefix && a.Peer == b.Peer }

// addresses lists the IPv4 addresses of a link in the kernel's order.
func (c *rtnetlink) addresses(index int) ([]Address, error) {
	messages, err := c.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(unix.AF_INET))
	if err != nil {
		return nil, explain("list the addresses", err)
	}
	var list []Address
	for _, m := range messages {
		if len(m) < unix.SizeofIfAddrmsg || m[0] != unix.AF_INET || nl.DeserializeIfAddrmsg(m).Index != uint32(index) {
			continue
		}
		a, err := decodeAddress(m)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

func decodeAddress(message []byte) (Address, error) {
	header := nl.DeserializeIfAddrmsg(message)
	a := Address{Scope: header.Scope, Flags: uint32(header.Flags), Valid: Forever, Preferred: Forever}
	var local, remote netip.Addr
	err := attributes(message, unix.SizeofIfAddrmsg, func(kind uint16, value []byte) error {
		switch kind {
		case unix.IFA_LOCAL:
			local = ip(value)
		case unix.IFA_ADDRESS:
			remote = ip(value)
		case unix.IFA_BROADCAST:
			a.Broadcast = ip(value)
		case unix.IFA_LABEL:
			a.Label = nl.BytesToString(value)
		case unix.IFA_FLAGS:
			a.Flags = u32(value)
		case unix.IFA_RT_PRIORITY:
			a.Metric = u32(value)
		case ifaProto:
			a.Protocol = u8(value)
		case unix.IFA_CACHEINFO: // preferred, valid, then two time stamps
			if len(value) >= 8 {
				a.Preferred, a.Valid = u32(value), u32(value[4:])
			}
		default:
			return fmt.Errorf("address %v has attribute %d, which podswitch does not know and so could not put back", local, kind)
		}
		return nil
	})
	if a.Flags&unix.IFA_F_DEPRECATED != 0 {
		a.Preferred = 0 // the kernel says "forever" for a deprecated address that does not expire
	}
	a.Prefix = netip.PrefixFrom(local, int(header.Prefixlen))
	if remote.IsValid() && remote != local {
		a.Peer = remote
	}
	return a, err
}

func (a Address) encode(index int) []nl.NetlinkRequestData {
	header := nl.NewIfAddrmsg(unix.AF_INET)
	header.Index, header.Prefixlen, header.Scope = uint32(index), uint8(a.Prefix.Bits()), a.Scope
	remote := a.Peer
	if !remote.IsValid() {
		remote = a.Prefix.Addr()
	}
	parts := []nl.NetlinkRequestData{
		header,
		nl.NewRtAttr(unix.IFA_LOCAL, a.Prefix.Addr().AsSlice()),
		nl.NewRtAttr(unix.IFA_ADDRESS, remote.AsSlice()),
		nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(a.Flags&^addressFlagsOfKernel)),
	}
	if a.Broadcast.IsValid() {
		parts = append(parts, nl.NewRtAttr(unix.IFA_BROADCAST, a.Broadcast.AsSlice()))
	}
	if a.Label != "" {
		parts = append(parts, nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated(a.Label)))
	}
	if a.Metric != 0 {
		parts = append(parts, nl.NewRtAttr(unix.IFA_RT_PRIORITY, nl.Uint32Attr(a.Metric)))
	}
	if a.Protocol != 0 {
		parts = append(parts, nl.NewRtAttr(ifaProto, []byte{a.Protocol}))
	}
	if a.Valid != Forever || a.Preferred != Forever {
		lifetime := make([]byte, unix.SizeofIfaCacheinfo)
		binary.NativeEndian.PutUint32(lifetime, a.Preferred)
		binary.NativeEndian.PutUint32(lifetime[4:], a.Valid)
		parts = append(parts, nl.NewRtAttr(unix.IFA_CACHEINFO, lifetime))
	}
	return parts
}

// addAddress puts an address on a link; one that is there already is no error.
func (c *rtnetlink) addAddress(index int, a Address) error {
	err := c.do(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, a.encode(index))
	if is(err, unix.EEXIST) {
		return nil
	}
	return explain("add address "+a.String(), err)
}

// removeAddress takes an address off a link; one that is not there is no error.
func (c *rtnetlink) removeAddress(index int, a Address) error {
	err := c.do(unix.RTM_DELADDR, 0, a.encode(index))
	if is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return explain("remove address "+a.String(), err)
}

// age returns the address as it would be had it stayed on the link for the given time. False: it would have expired.
func (a Address) age(by time.Duration) (Address, bool) {
	seconds := uint32(min(max(by/time.Second, 0), Forever-1))
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
