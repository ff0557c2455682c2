package podnet

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ifaProto is IFA_PROTO (linux/if_addr.h), which golang.org/x/sys/unix lacks.
const ifaProto = 11

// computedAddressFlags are set by the kernel. They are recorded but not written. IFA_F_SECONDARY is IFA_F_TEMPORARY of IPv6.
const computedAddressFlags = unix.IFA_F_SECONDARY | unix.IFA_F_PERMANENT | unix.IFA_F_DEPRECATED | unix.IFA_F_TENTATIVE |
	unix.IFA_F_DADFAILED | unix.IFA_F_STABLE_PRIVACY

// addresses lists the addresses of a link and a family, in the kernel's order. With IPv4, primary addresses are before their secondaries;
// with IPv6, the newest address of a scope is the first.
func (c *rtnetlink) addresses(f Family, index int) ([]Address, error) {
	messages, err := c.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(int(f.number())))
	if err != nil {
		return nil, explain("list the addresses", err)
	}
	var list []Address
	for _, m := range messages {
		if len(m) < unix.SizeofIfAddrmsg || m[0] != f.number() || nl.DeserializeIfAddrmsg(m).Index != uint32(index) {
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

// decodeAddress returns an error for an attribute that encode could not write.
func decodeAddress(message []byte) (Address, error) {
	header := nl.DeserializeIfAddrmsg(message)
	a := Address{Scope: header.Scope, Flags: uint32(header.Flags), Valid: Forever, Preferred: Forever}
	var local, remote netip.Addr
	err := visitAttributes(message, unix.SizeofIfAddrmsg, func(kind uint16, value []byte) error {
		switch kind {
		case unix.IFA_LOCAL:
			local = addr(value)
		case unix.IFA_ADDRESS:
			remote = addr(value)
		case unix.IFA_BROADCAST:
			a.Broadcast = addr(value)
		case unix.IFA_LABEL:
			a.Label = nl.BytesToString(value)
		case unix.IFA_FLAGS:
			a.Flags = u32(value)
		case unix.IFA_RT_PRIORITY:
			a.Metric = u32(value)
		case ifaProto:
			a.Protocol = u8(value)
		case unix.IFA_CACHEINFO: // struct ifa_cacheinfo: preferred, valid, two time stamps
			if len(value) >= 8 {
				a.Preferred, a.Valid = u32(value), u32(value[4:])
			}
		default:
			return notRestorable("restore the address "+cmp.Or(local, remote).String(), fmt.Sprintf("attribute %d", kind))
		}
		return nil
	})
	if a.Flags&unix.IFA_F_DEPRECATED != 0 {
		a.Preferred = 0 // the kernel reports "forever" if the valid lifetime is (inet_fill_ifaddr in net/ipv4/devinet.c)
	}
	if !local.IsValid() { // IPv6 without a peer has only IFA_ADDRESS
		local = remote
	}
	a.Prefix = netip.PrefixFrom(local, int(header.Prefixlen))
	if remote.IsValid() && remote != local {
		a.Peer = remote
	}
	return a, err
}

// encode returns the parts of a message that adds or removes the address.
func (a Address) encode(index int) []nl.NetlinkRequestData {
	header := nl.NewIfAddrmsg(int(a.family().number()))
	header.Index, header.Prefixlen, header.Scope = uint32(index), uint8(a.Prefix.Bits()), a.Scope
	remote := a.Peer
	if !remote.IsValid() {
		remote = a.Prefix.Addr()
	}
	parts := []nl.NetlinkRequestData{
		header,
		nl.NewRtAttr(unix.IFA_LOCAL, a.Prefix.Addr().AsSlice()),
		nl.NewRtAttr(unix.IFA_ADDRESS, remote.AsSlice()),
		nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(a.Flags&^computedAddressFlags)),
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

// addAddress adds an address to a link. An address that the link has is not an error.
func (c *rtnetlink) addAddress(index int, a Address) error {
	err := c.do(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, a.encode(index))
	if isErrno(err, unix.EEXIST) {
		return nil
	}
	return explain("add address "+a.String(), err)
}

// replaceAddress gives an address of a link other flags and lifetimes.
func (c *rtnetlink) replaceAddress(index int, a Address) error {
	return explain("replace the flags of address "+a.String(), c.do(unix.RTM_NEWADDR, unix.NLM_F_REPLACE, a.encode(index)))
}

// removeAddress removes an address from a link. An address that the link does not have is not an error.
func (c *rtnetlink) removeAddress(index int, a Address) error {
	err := c.do(unix.RTM_DELADDR, 0, a.encode(index))
	if isErrno(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return explain("remove address "+a.String(), err)
}
