package podnet

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A Neighbour is an entry of the link's IPv4 neighbour table that has a link-layer address, or a proxy entry. Numbers are
// those of linux/neighbour.h. The kernel drops all of them, permanent ones too, when the link loses its last address.
type Neighbour struct {
	Address  netip.Addr `json:"address"`
	MAC      MAC        `json:"mac"`
	State    uint16     `json:"state"` // NUD_*
	Flags    uint8      `json:"flags,omitempty"`
	FlagsExt uint32     `json:"flags_ext,omitempty"`
	Protocol uint8      `json:"protocol,omitempty"` // who made it, RTPROT_*
	Proxy    bool       `json:"proxy,omitempty"`    // the kernel answers ARP for Address
}

// Permanent tells whether the entry was made to stay: some plugins install one because nobody answers ARP.
func (n Neighbour) Permanent() bool { return n.State&netlink.NUD_PERMANENT != 0 }

// String writes the entry as the ip command would be told.
func (n Neighbour) String() string {
	if n.Proxy {
		return "proxy " + n.Address.String()
	}
	if n.Permanent() {
		return fmt.Sprintf("%v lladdr %v permanent", n.Address, n.MAC)
	}
	return fmt.Sprintf("%v lladdr %v", n.Address, n.MAC)
}

// neighbours lists the entries of a link that are worth keeping.
func (c *rtnetlink) neighbours(index int) ([]Neighbour, error) {
	var list []Neighbour
	for _, flags := range []uint8{0, netlink.NTF_PROXY} {
		messages, err := c.dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, &netlink.Ndmsg{Family: unix.AF_INET, Flags: flags})
		if err != nil {
			return nil, explain("list the neighbours", err)
		}
		for _, m := range messages {
			if len(m) < unix.SizeofNdMsg || m[0] != unix.AF_INET || u32(m[4:]) != uint32(index) {
				continue
			}
			n, known, err := decodeNeighbour(m)
			if err != nil {
				return nil, err
			}
			if known && n.Proxy == (flags == netlink.NTF_PROXY) {
				list = append(list, n)
			}
		}
	}
	return list, nil
}

// decodeNeighbour returns false for an entry that says nothing: without an address, or not in use.
func decodeNeighbour(message []byte) (n Neighbour, known bool, err error) {
	flags := message[10] // struct ndmsg: family, padding, ifindex at 4, state at 8, flags at 10, type at 11
	n = Neighbour{
		State: binary.NativeEndian.Uint16(message[8:]),
		Flags: flags &^ netlink.NTF_PROXY,
		Proxy: flags&netlink.NTF_PROXY != 0,
	}
	hardware := 0
	err = attributes(message, unix.SizeofNdMsg, func(kind uint16, value []byte) error {
		switch kind {
		case netlink.NDA_DST:
			n.Address = ip(value)
		case netlink.NDA_LLADDR:
			if hardware = len(value); hardware == len(n.MAC) {
				n.MAC = MAC(value)
			}
		case netlink.NDA_PROTOCOL:
			n.Protocol = u8(value)
		case netlink.NDA_FLAGS_EXT:
			n.FlagsExt = u32(value)
		case netlink.NDA_CACHEINFO, netlink.NDA_PROBES:
		default:
			return fmt.Errorf("neighbour %v has attribute %d, which podswitch does not know and so could not put back", n.Address, kind)
		}
		return nil
	})
	const learned = netlink.NUD_PERMANENT | netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE
	return n, n.Proxy || hardware == len(n.MAC) && n.State&learned != 0, err
}

// setNeighbour adds or replaces an entry. One that was being confirmed (delay, probe) comes back as stale, which is
// where the kernel starts that again.
func (c *rtnetlink) setNeighbour(index int, n Neighbour) error {
	header := &netlink.Ndmsg{Family: unix.AF_INET, Index: uint32(index), State: n.State, Flags: n.Flags}
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
