package podnet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A Neighbour is an entry of the link's neighbour table with a link-layer address, or a proxy entry. Numbers are those of
// linux/neighbour.h. The kernel drops all entries of IPv4, permanent ones included, when the link loses its last address (fib_disable_ip in
// net/ipv4/fib_frontend.c). It keeps those of IPv6.
type Neighbour struct {
	Address  netip.Addr `json:"address"`
	MAC      MAC        `json:"mac"`                 // zero for a proxy entry
	State    uint16     `json:"state"`               // NUD_*
	Flags    uint8      `json:"flags,omitempty"`     // NTF_* without NTF_PROXY
	FlagsExt uint32     `json:"flags_ext,omitempty"` // NTF_EXT_*
	Protocol uint8      `json:"protocol,omitempty"`  // RTPROT_* of the program that added it
	Proxy    bool       `json:"proxy,omitempty"`     // the kernel answers ARP or neighbour solicitations for Address
}

// Permanent reports whether the entry needs no resolution (NUD_PERMANENT, NUD_NOARP). Some plugins add such an entry for a gateway that
// answers no ARP.
func (n Neighbour) Permanent() bool { return n.State&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0 }

// settled returns the permanent and proxy entries.
func settled(list []Neighbour) []Neighbour {
	return slices.DeleteFunc(list, func(n Neighbour) bool { return !n.Permanent() && !n.Proxy })
}

// String returns the entry as an argument of ip-neighbour(8).
func (n Neighbour) String() string {
	if n.Proxy {
		return "proxy " + n.Address.String()
	}
	switch {
	case n.State&netlink.NUD_NOARP != 0:
		return fmt.Sprintf("%v lladdr %v nud noarp", n.Address, n.MAC)
	case n.Permanent():
		return fmt.Sprintf("%v lladdr %v permanent", n.Address, n.MAC)
	}
	return fmt.Sprintf("%v lladdr %v", n.Address, n.MAC)
}

// neighbours lists the entries of a link and a family that Neighbour describes, in the kernel's order. own is the link's MAC. It needs two dumps, because the flag NTF_PROXY
// selects proxy entries instead of the others (neigh_dump_info in net/core/neighbour.c).
func (c *rtnetlink) neighbours(f Family, index int, own MAC) ([]Neighbour, error) {
	var list []Neighbour
	for _, flags := range []uint8{0, netlink.NTF_PROXY} {
		messages, err := c.dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, &netlink.Ndmsg{Family: f.number(), Flags: flags})
		if err != nil {
			return nil, explain("list the neighbours", err)
		}
		for _, m := range messages {
			if len(m) < unix.SizeofNdMsg || m[0] != f.number() || u32(m[4:]) != uint32(index) {
				continue
			}
			n, usable, err := decodeNeighbour(m)
			if err != nil {
				return nil, err
			}
			if usable && !n.isImplied(own) && n.Proxy == (flags == netlink.NTF_PROXY) {
				list = append(list, n)
			}
		}
	}
	return list, nil
}

// decodeNeighbour returns false for an entry without a usable link-layer address, such as one whose resolution failed.
func decodeNeighbour(message []byte) (n Neighbour, usable bool, err error) {
	flags := message[10] // struct ndmsg: family, padding, ifindex at 4, state at 8, flags at 10, type at 11
	n = Neighbour{
		State: binary.NativeEndian.Uint16(message[8:]),
		Flags: flags &^ netlink.NTF_PROXY,
		Proxy: flags&netlink.NTF_PROXY != 0,
	}
	macLength := 0
	err = visitAttributes(message, unix.SizeofNdMsg, func(kind uint16, value []byte) error {
		switch kind {
		case netlink.NDA_DST:
			n.Address = addr(value)
		case netlink.NDA_LLADDR:
			if macLength = len(value); macLength == len(n.MAC) {
				n.MAC = MAC(value)
			}
		case netlink.NDA_PROTOCOL:
			n.Protocol = u8(value)
		case netlink.NDA_FLAGS_EXT:
			n.FlagsExt = u32(value)
		case netlink.NDA_CACHEINFO, netlink.NDA_PROBES:
		default:
			return notRestorable("restore the neighbour "+n.Address.String(), fmt.Sprintf("attribute %d", kind))
		}
		return nil
	})
	const resolved = netlink.NUD_PERMANENT | netlink.NUD_NOARP | netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE
	return n, n.Proxy || macLength == len(n.MAC) && n.State&resolved != 0, err
}

// isImplied reports whether the kernel itself adds the entry, which needs no resolution (arp_constructor in net/ipv4/arp.c): for a multicast
// or broadcast address with a MAC of that kind, or with the link's own MAC if the link has no ARP.
func (n Neighbour) isImplied(own MAC) bool {
	return n.State&netlink.NUD_NOARP != 0 && (n.MAC[0]&1 != 0 || n.MAC == own || n.MAC == MAC{})
}

// setNeighbour adds or replaces an entry. An entry that was being confirmed (NUD_DELAY, NUD_PROBE) is added as NUD_STALE, from where
// the kernel starts the confirmation again (arp(7)).
func (c *rtnetlink) setNeighbour(index int, n Neighbour) error {
	header := &netlink.Ndmsg{Family: n.family().number(), Index: uint32(index), State: n.State, Flags: n.Flags}
	if n.State&(netlink.NUD_DELAY|netlink.NUD_PROBE) != 0 {
		header.State = netlink.NUD_STALE
	}
	parts := []nl.NetlinkRequestData{header, nl.NewRtAttr(netlink.NDA_DST, n.Address.AsSlice())}
	if n.Proxy {
		header.State, header.Flags = netlink.NUD_NONE, n.Flags|netlink.NTF_PROXY
	} else {
		parts = append(parts, nl.NewRtAttr(netlink.NDA_LLADDR, n.MAC[:]))
	}
	if n.Protocol != 0 {
		parts = append(parts, nl.NewRtAttr(netlink.NDA_PROTOCOL, []byte{n.Protocol}))
	}
	if n.FlagsExt != 0 {
		parts = append(parts, nl.NewRtAttr(netlink.NDA_FLAGS_EXT, nl.Uint32Attr(n.FlagsExt)))
	}
	return explain("add neighbour "+n.String(), c.do(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, parts))
}
