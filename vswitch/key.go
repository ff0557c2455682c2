package vswitch

import (
	"encoding/binary"
	"net/netip"
)

// A key is an address in the form in which it is compared and looked up: an IPv6 address, an IPv4 address in the upper 32 bits, or a MAC
// in the lower 48 bits of hi. Prefixes of both IP families therefore mean the same. Keys of different families must not be compared. The zero
// key is none, or the unspecified address.
type key struct{ hi, lo uint64 }

// keyOf returns the key of an IP address; that of the zero Addr is the zero key.
func keyOf(a netip.Addr) key {
	if a.Is4() {
		b := a.As4()
		return key4(b[:])
	}
	b := a.As16()
	return key6(b[:])
}

// isOf reports whether a is an address of the family.
func isOf(a netip.Addr, isIPv6 bool) bool { return a.IsValid() && a.Is6() == isIPv6 }

// key4 returns the key of the IPv4 address at the beginning of b.
func key4(b []byte) key { return key{hi: uint64(binary.BigEndian.Uint32(b)) << 32} }

// key6 returns the key of the IPv6 address at the beginning of b.
func key6(b []byte) key { return key{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])} }

// addr returns the address as text and states have it.
func (k key) addr(isIPv6 bool) netip.Addr {
	b := k.bytes()
	if isIPv6 {
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte(b[:]))
}

// put4 writes an IPv4 address to the beginning of b.
func (k key) put4(b []byte) { binary.BigEndian.PutUint32(b, uint32(k.hi>>32)) }

// put6 writes an IPv6 address to the beginning of b.
func (k key) put6(b []byte) {
	binary.BigEndian.PutUint64(b, k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
}

// limitedBroadcast is 255.255.255.255.
var limitedBroadcast = key{hi: 0xffffffff << 32}

// isGroup reports whether k is a multicast address.
func (k key) isGroup(isIPv6 bool) bool {
	if isIPv6 {
		return k.hi>>56 == 0xff
	}
	return k.hi>>60 == 0xe
}

// isMartian reports whether k must not occur on a wire: "this network" and loopback. 240.0.0.0/4 may occur: Linux routes it, and
// some clusters assign pod addresses from it.
// In IPv6 these are ::/64, which includes the unspecified address, loopback and IPv4-mapped addresses, and groups within a host.
func (k key) isMartian(isIPv6 bool) bool {
	if isIPv6 {
		return k.hi == 0 || k.hi>>56 == 0xff && k.hi>>48&0xf < 2
	}
	return k.hi>>56 == 0 || k.hi>>56 == 127
}

// groupMAC maps a group to its Ethernet address (RFC 1112, section 6.4; RFC 2464, section 7).
func (k key) groupMAC(isIPv6 bool) MAC {
	if isIPv6 {
		return MAC{0x33, 0x33, byte(k.lo >> 24), byte(k.lo >> 16), byte(k.lo >> 8), byte(k.lo)}
	}
	return MAC{0x01, 0x00, 0x5e, byte(k.hi>>48) & 0x7f, byte(k.hi >> 40), byte(k.hi >> 32)}
}

func (k key) bytes() (b [16]byte) {
	k.put6(b[:])
	return b
}

// isLinkLocal reports whether k is an IPv6 address that is valid on its link only.
func (k key) isLinkLocal() bool { return k.hi>>54 == 0xfe80>>6 }

// A block is a prefix in the form that the forwarder uses.
type block struct{ network, mask key }

func newBlock(p netip.Prefix) block {
	address, bits := keyOf(p.Addr()), p.Bits()
	mask := key{^(^uint64(0) >> bits), ^(^uint64(0) >> max(bits-64, 0))}
	return block{key{address.hi & mask.hi, address.lo & mask.lo}, mask}
}

func (b *block) contains(k key) bool {
	return k.hi&b.mask.hi == b.network.hi && k.lo&b.mask.lo == b.network.lo
}
