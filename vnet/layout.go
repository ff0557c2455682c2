package vnet

import "encoding/binary"

// Lengths in bytes, ethertypes and protocol numbers of the headers of a frame.
const (
	ethernetLen = 14
	vlanLen     = 4
	ipv4Len     = 20 // without options
	ipv6Len     = 40 // without extension headers
	tcpLen      = 20 // without options
	udpLen      = 8

	ipv6AddressLen = 16

	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherVLAN = 0x8100 // IEEE 802.1Q
	etherQinQ = 0x88a8 // IEEE 802.1ad
	etherIPv6 = 0x86dd

	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17
	protocolSCTP = 132

	protocolICMPv6 = 58
)

// IPv6 extension headers (RFC 8200, section 4; RFC 4302 for the authentication header).
const (
	extensionHopByHop       = 0
	extensionRouting        = 43
	extensionFragment       = 44
	extensionAuthentication = 51
	extensionDestination    = 60

	maxExtensions = 8 // more than any sender needs; the limit bounds the cost of a frame
)

// A layout has the offsets of a frame's headers, from the first byte of the frame.
type layout struct {
	ethertype uint16 // behind at most two VLAN tags
	network   int    // first byte behind the Ethernet header and its tags
	transport int    // first byte behind the IP header with its options and extensions; without IP the same as network
	target    int    // final destination address, which the pseudo-header contains
	end       int    // first byte behind the IP packet, where padding may follow; 0 if the packet's length is wrong
	protocol  uint8  // of the transport header
	fragment  bool   // the packet is a fragment, possibly the first
	offset    int    // of an IPv6 fragment within its packet
	routed    bool   // a routing header of IPv6 has segments left
}

// locate determines the layout of a frame. It reports false if the frame ends within its Ethernet or IP headers, or if these are
// inconsistent.
func (l *layout) locate(frame []byte) bool {
	if len(frame) < ethernetLen {
		return false
	}
	l.ethertype, l.network = binary.BigEndian.Uint16(frame[12:]), ethernetLen
	for range 2 {
		if l.ethertype != etherVLAN && l.ethertype != etherQinQ {
			break
		}
		if len(frame) < l.network+vlanLen {
			return false
		}
		l.ethertype = binary.BigEndian.Uint16(frame[l.network+2:])
		l.network += vlanLen
	}
	switch l.ethertype {
	case etherIPv4:
		return l.ipv4(frame[l.network:])
	case etherIPv6:
		return l.ipv6(frame[l.network:])
	}
	l.transport, l.end = l.network, len(frame)
	return true
}

// ipv4 reads the header of an IPv4 packet (RFC 791, section 3.1).
func (l *layout) ipv4(packet []byte) bool {
	if len(packet) < ipv4Len || packet[0]>>4 != 4 {
		return false
	}
	headerLen := int(packet[0]&0xf) * 4
	if headerLen < ipv4Len || headerLen > len(packet) {
		return false
	}
	l.transport, l.target = l.network+headerLen, l.network+16
	l.protocol = packet[9]
	l.fragment = binary.BigEndian.Uint16(packet[6:])&(moreFragments|fragmentOffset) != 0
	if total := int(binary.BigEndian.Uint16(packet[2:])); total >= headerLen && total <= len(packet) {
		l.end = l.network + total
	}
	return true
}

// ipv6 reads the header of an IPv6 packet and its extension headers (RFC 8200, sections 3 and 4).
func (l *layout) ipv6(packet []byte) bool {
	if len(packet) < ipv6Len || packet[0]>>4 != 6 {
		return false
	}
	if total := ipv6Len + int(binary.BigEndian.Uint16(packet[4:])); total <= len(packet) {
		l.end = l.network + total
	}
	l.target = l.network + 24
	next, at, later := packet[6], ipv6Len, false
	for range maxExtensions {
		if later || !isExtension(next) {
			break
		}
		if len(packet) < at+8 {
			return false
		}
		next, at, later = l.extension(next, packet, at)
	}
	l.protocol, l.transport = next, l.network+at
	if l.end < l.transport {
		l.end = 0
	}
	return at <= len(packet) && (later || !isExtension(next))
}

// extension reads the extension header of the given kind at packet[at:], which has at least 8 bytes. It returns the type and offset of
// the next header, and whether the packet is a later fragment, which has no further headers.
func (l *layout) extension(kind uint8, packet []byte, at int) (next uint8, behind int, later bool) {
	next = packet[at]
	length := int(packet[at+1])
	switch kind {
	case extensionAuthentication:
		return next, at + (length+2)*4, false
	case extensionFragment:
		field := binary.BigEndian.Uint16(packet[at+2:]) // 13 bits of offset, 2 reserved, 1 for "more"
		l.fragment, l.offset = l.fragment || field&^6 != 0, int(field&^7)
		return next, at + 8, field>>3 != 0
	case extensionRouting:
		l.route(packet, at)
	}
	return next, at + (length+1)*8, false
}

// route sets the final destination from a routing header with segments left: the last address of types 0 and 2 (RFC 5095; RFC 6275,
// section 6.4), the first of type 4 (RFC 8754, section 2).
func (l *layout) route(packet []byte, at int) {
	l.routed = l.routed || packet[at+3] != 0
	last := at + 8
	if kind := packet[at+2]; kind == 0 || kind == 2 {
		last += (int(packet[at+1])/2 - 1) * ipv6AddressLen
	} else if kind != 4 {
		return
	}
	if used := packet[at+3] == 0; !used && packet[at+1] >= 2 && last+ipv6AddressLen <= len(packet) {
		l.target = l.network + last
	}
}

func isExtension(protocol uint8) bool {
	switch protocol {
	case extensionHopByHop, extensionRouting, extensionFragment, extensionAuthentication, extensionDestination:
		return true
	}
	return false
}
