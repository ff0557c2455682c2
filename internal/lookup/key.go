package lookup

import (
	"encoding/binary"
	"net/netip"
)

// A Key is an address in the form in which it is compared and looked up: an IPv6 address, an IPv4 address in the upper 32 bits, or a MAC
// in the lower 48 bits of Hi. Prefixes of both IP families therefore mean the same. Keys of different families must not be compared. The zero
// key is none, or the unspecified address.
type Key struct{ Hi, Lo uint64 }

// KeyOf returns the key of an IP address; that of the zero Addr is the zero key.
func KeyOf(a netip.Addr) Key {
	if a.Is4() {
		b := a.As4()
		return Key4(b[:])
	}
	b := a.As16()
	return Key6(b[:])
}

// IsOf reports whether a is an address of the family.
func IsOf(a netip.Addr, isIPv6 bool) bool { return a.IsValid() && a.Is6() == isIPv6 }

// IsPlain reports whether a is an address of the family without a zone. Only such addresses differ if and only if their keys do.
func IsPlain(a netip.Addr, isIPv6 bool) bool { return IsOf(a, isIPv6) && a.Zone() == "" }

// Key4 returns the key of the IPv4 address at the beginning of b.
func Key4(b []byte) Key { return Key{Hi: uint64(binary.BigEndian.Uint32(b)) << 32} }

// Key6 returns the key of the IPv6 address at the beginning of b.
func Key6(b []byte) Key { return Key{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])} }

// Addr returns the address as text and states have it.
func (k Key) Addr(isIPv6 bool) netip.Addr {
	b := k.Bytes()
	if isIPv6 {
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte(b[:]))
}

// Put4 writes an IPv4 address to the beginning of b.
func (k Key) Put4(b []byte) { binary.BigEndian.PutUint32(b, uint32(k.Hi>>32)) }

// Put6 writes an IPv6 address to the beginning of b.
func (k Key) Put6(b []byte) {
	binary.BigEndian.PutUint64(b, k.Hi)
	binary.BigEndian.PutUint64(b[8:], k.Lo)
}

// LimitedBroadcast is 255.255.255.255.
var LimitedBroadcast = Key{Hi: 0xffffffff << 32}

// IsGroup reports whether k is a multicast address.
func (k Key) IsGroup(isIPv6 bool) bool {
	if isIPv6 {
		return k.Hi>>56 == 0xff
	}
	return k.Hi>>60 == 0xe
}

// IsMartian reports whether k must not occur on a wire: "this network" and loopback. 240.0.0.0/4 may occur: Linux routes it, and
// some clusters assign pod addresses from it.
// In IPv6 these are ::/64, which includes the unspecified address, loopback and IPv4-mapped addresses, and groups within a host.
func (k Key) IsMartian(isIPv6 bool) bool {
	if isIPv6 {
		return k.Hi == 0 || k.Hi>>56 == 0xff && k.Hi>>48&0xf < 2
	}
	return k.Hi>>56 == 0 || k.Hi>>56 == 127
}

// GroupMAC maps a group to its Ethernet address (RFC 1112, section 6.4; RFC 2464, section 7).
func (k Key) GroupMAC(isIPv6 bool) [6]byte {
	if isIPv6 {
		return [6]byte{0x33, 0x33, byte(k.Lo >> 24), byte(k.Lo >> 16), byte(k.Lo >> 8), byte(k.Lo)}
	}
	return [6]byte{0x01, 0x00, 0x5e, byte(k.Hi>>48) & 0x7f, byte(k.Hi >> 40), byte(k.Hi >> 32)}
}

// Bytes returns the 16 bytes of an IPv6 address.
func (k Key) Bytes() (b [16]byte) {
	k.Put6(b[:])
	return b
}

// IsLinkLocal reports whether k is an IPv6 address that is valid on its link only.
func (k Key) IsLinkLocal() bool { return k.Hi>>54 == 0xfe80>>6 }

// A Prefix is a prefix in the form that the forwarder uses.
type Prefix struct{ network, mask Key }

// NewPrefix returns a prefix whose address is valid.
func NewPrefix(p netip.Prefix) Prefix {
	address, bits := KeyOf(p.Addr()), p.Bits()
	mask := Key{^(^uint64(0) >> bits), ^(^uint64(0) >> max(bits-64, 0))}
	return Prefix{Key{address.Hi & mask.Hi, address.Lo & mask.Lo}, mask}
}

// Contains reports whether an address is of the prefix.
func (p *Prefix) Contains(k Key) bool {
	return k.Hi&p.mask.Hi == p.network.Hi && k.Lo&p.mask.Lo == p.network.Lo
}
