package vnet

import "encoding/binary"

// ICMPv6 types (RFC 4443; RFC 4861, section 4).
const (
	RouterSolicitation     = 133
	RouterAdvertisement    = 134
	NeighbourSolicitation  = 135
	NeighbourAdvertisement = 136
)

// Flags of a neighbour advertisement (RFC 4861, section 4.4).
const (
	DiscoveryRouter    = 0x80 // the target is a router
	DiscoverySolicited = 0x40 // the advertisement answers a solicitation
	DiscoveryOverride  = 0x20 // the link-layer address replaces one that is known
)

// Options and lengths in bytes of neighbour discovery.
const (
	optionSourceLink = 1
	optionTargetLink = 2
	linkOptionLen    = 8

	icmpv6Len       = 8                                                      // of an ICMPv6 header with its first word
	discoveryHeader = icmpv6Len + 16                                         // of a message with a target
	discoveryHops   = 255                                                    // hop limit: the message has passed no router
	groupPrefix     = "\xff\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff" // of solicited-node groups (RFC 4291, section 2.7.1)
)

// DiscoveryLen is the length in bytes of a packet that Discovery.Put writes.
const DiscoveryLen = ipv6Len + discoveryHeader + linkOptionLen

// A Discovery has the fields of a message of neighbour discovery: a router solicitation, or a neighbour solicitation or advertisement.
type Discovery struct {
	Type   uint8
	Flags  uint8    // of an advertisement
	Target [16]byte // of a neighbour solicitation or advertisement
	MAC    [6]byte  // of the link-layer address option: the source's, or in an advertisement the target's; zero: none
}

// ParseDiscovery reads the message of an IPv6 packet without extension headers and validates it: RFC 4861, sections 6.1.1, 7.1.1 and
// 7.1.2. It reports false for a message that a host must ignore, and for other types than those of a Discovery.
func ParseDiscovery(packet []byte) (d Discovery, ok bool) {
	var h IPv6
	if !h.Parse(packet) || h.Transport != ipv6Len || h.Protocol != protocolICMPv6 || h.End < ipv6Len+icmpv6Len || packet[7] != discoveryHops {
		return d, false
	}
	message := packet[ipv6Len:h.End]
	d.Type = message[0]
	options, wants := icmpv6Len, uint8(optionSourceLink)
	switch d.Type {
	case RouterSolicitation:
	case NeighbourAdvertisement, NeighbourSolicitation:
		options = discoveryHeader
		if len(message) < options {
			return d, false
		}
		d.Target = [16]byte(message[icmpv6Len:])
		if d.Type == NeighbourAdvertisement {
			d.Flags, wants = message[4], optionTargetLink
		}
	default:
		return d, false
	}
	if message[1] != 0 || d.Target[0] == 0xff || Sum(message, icmpv6Sum(packet, len(message))) != 0xffff {
		return d, false
	}
	return d, d.readOptions(message[options:], wants) && d.isPlausible(packet)
}

// readOptions reads the link-layer address. It reports false for an option without a length, or with one that exceeds the message.
func (d *Discovery) readOptions(options []byte, wants uint8) bool {
	for len(options) > 0 {
		if len(options) < 2 {
			return false
		}
		n := int(options[1]) * 8
		if n == 0 || n > len(options) {
			return false
		}
		if options[0] == wants && n == linkOptionLen {
			d.MAC = [6]byte(options[2:])
		}
		options = options[n:]
	}
	return true
}

// isPlausible checks the addresses of the packet: a host without an address asks a solicited-node group and gives no link-layer address,
// and an answer to a question does not go to a group.
func (d *Discovery) isPlausible(packet []byte) bool {
	hasSource := [16]byte(packet[8:]) != [16]byte{}
	if d.Type == NeighbourAdvertisement {
		return packet[24] != 0xff || d.Flags&DiscoverySolicited == 0
	}
	isToGroup := d.Type == RouterSolicitation || string(packet[24:24+len(groupPrefix)]) == groupPrefix
	return hasSource || isToGroup && d.MAC == [6]byte{}
}

// Put writes an IPv6 packet with the message, whose type must be that of a neighbour solicitation or advertisement, to the first
// DiscoveryLen bytes of b. It has a link-layer address option in any case.
func (d *Discovery) Put(b []byte, source, destination [16]byte) {
	message := b[ipv6Len:DiscoveryLen]
	clear(message[:icmpv6Len])
	message[0], message[4] = d.Type, d.Flags
	copy(message[icmpv6Len:], d.Target[:])
	option := message[discoveryHeader:]
	option[0], option[1] = optionSourceLink, linkOptionLen/8
	if d.Type == NeighbourAdvertisement {
		option[0] = optionTargetLink
	}
	copy(option[2:], d.MAC[:])
	PutICMPv6(b[:DiscoveryLen], discoveryHops, source, destination)
}

// PutICMPv6 writes the IPv6 header of a packet and the checksum of its ICMPv6 message, which follows the header.
func PutICMPv6(packet []byte, hopLimit uint8, source, destination [16]byte) {
	message := packet[ipv6Len:]
	binary.BigEndian.PutUint32(packet, 6<<28)
	binary.BigEndian.PutUint16(packet[4:], uint16(len(message)))
	packet[6], packet[7] = protocolICMPv6, hopLimit
	copy(packet[8:], source[:])
	copy(packet[24:], destination[:])
	writeChecksum(message, icmpChecksum, icmpv6Sum(packet, len(message)))
}

// icmpv6Sum returns the sum of the pseudo-header of an ICMPv6 message of the given length (RFC 4443, section 2.3).
func icmpv6Sum(packet []byte, length int) uint32 {
	return PseudoSum(packet[8:24], packet[24:40], protocolICMPv6, length)
}

// SolicitedNode returns the group that the host with an address listens to (RFC 4291, section 2.7.1).
func SolicitedNode(address [16]byte) (group [16]byte) {
	copy(group[:], groupPrefix)
	copy(group[13:], address[13:])
	return group
}
