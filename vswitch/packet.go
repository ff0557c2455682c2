package vswitch

import (
	"encoding/binary"
	"math/bits"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/vnet"
)

// IP protocol numbers (IANA).
const (
	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17

	protocolICMPv6 = 58
)

// UDP ports of DHCP (RFC 2131, section 4.1) and DHCPv6 (RFC 8415, section 7.2).
const (
	dhcpServerPort   = 67
	dhcpClientPort   = 68
	dhcpv6ClientPort = 546
	dhcpv6ServerPort = 547
)

// A packet holds the fields of a validated IPv4 or IPv6 packet that the forwarders use. All offsets, and the headers at them, lie within
// the frame.
type packet struct {
	source, target         lookup.Key
	sourcePort, targetPort uint16 // of TCP and UDP; 0 in later fragments
	protocol               uint8
	isIPv6                 bool
	isRouted               bool // IPv6: the destination is not the final one
	offset                 int  // of a fragment within its packet, in bytes
	firstFragment          bool // offset is 0: the packet contains the transport header
	fragment               bool // one of several fragments
	dontFragment           bool // IPv6: always
	transport              int  // offset of the transport header in the frame
	end                    int  // offset of the first byte behind the packet; Ethernet padding may follow
}

// parse validates the IP header of a frame and, except in later fragments, its TCP, UDP or ICMP header. It reports false for a
// packet that is truncated, has inconsistent lengths or a wrong header checksum. p must be zero.
func (p *packet) parse(frame []byte) bool {
	return p.parseHeader(frame) && (!p.firstFragment || p.parseTransport(frame))
}

// parseHeader validates the IP header alone.
func (p *packet) parseHeader(frame []byte) bool {
	if ethertype(frame) == typeIPv6 {
		return p.parseIPv6(frame)
	}
	if len(frame) < ethernetLen+ipv4Len {
		return false
	}
	ip := frame[ethernetLen:]
	headerLen := int(ip[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(ip[2:]))
	if ip[0]>>4 != 4 || headerLen < ipv4Len || total < headerLen || total > len(ip) || !hasChecksum(ip, headerLen) {
		return false
	}
	flags := binary.BigEndian.Uint16(ip[6:])
	p.source, p.target, p.protocol = lookup.Key4(ip[12:]), lookup.Key4(ip[16:]), ip[9]
	p.offset = int(flags&0x1fff) * 8
	p.firstFragment, p.fragment, p.dontFragment = p.offset == 0, flags&0x3fff != 0, flags&0x4000 != 0
	p.transport, p.end = ethernetLen+headerLen, ethernetLen+total
	return true
}

func (p *packet) parseIPv6(frame []byte) bool {
	ip := frame[ethernetLen:]
	var h vnet.IPv6
	if !h.Parse(ip) || h.End == 0 {
		return false
	}
	p.source, p.target, p.protocol = lookup.Key6(ip[8:]), lookup.Key6(ip[24:]), h.Protocol
	p.offset = h.Offset
	p.firstFragment, p.fragment, p.dontFragment = p.offset == 0, h.Fragment, true
	p.isIPv6, p.isRouted = true, h.Routed
	p.transport, p.end = ethernetLen+h.Transport, ethernetLen+h.End
	return true
}

// hasChecksum reports whether the checksum of an IPv4 header is right (RFC 1122, section 3.2.1.2). A host drops such a packet, and a
// device that cuts or merges it would replace the wrong checksum by a right one.
func hasChecksum(ip []byte, headerLen int) bool {
	if headerLen > ipv4Len {
		return vnet.Sum(ip[:headerLen], 0) == 0xffff
	}
	// The ones' complement sum of 16-bit words in either byte order is 0xffff if a sum of wider words with its carries is a multiple of
	// 0xffff (RFC 1071, section 2). It is not 0, because the version is not.
	header := (*[ipv4Len]byte)(ip)
	sum, carry := bits.Add64(binary.NativeEndian.Uint64(header[:]), binary.NativeEndian.Uint64(header[8:]), 0)
	sum, carry = bits.Add64(sum, uint64(binary.NativeEndian.Uint32(header[16:])), carry)
	return (sum+carry)%0xffff == 0
}

func (p *packet) parseTransport(frame []byte) bool {
	segment := frame[p.transport:p.end]
	switch p.protocol {
	case protocolTCP:
		if len(segment) < tcpLen {
			return false
		}
		if offset := int(segment[12]>>4) * 4; offset < tcpLen || offset > len(segment) {
			return false
		}
	case protocolUDP:
		if len(segment) < udpLen {
			return false
		}
		if n := int(binary.BigEndian.Uint16(segment[4:])); n < udpLen || n > len(segment) && !p.fragment {
			return false
		}
	case p.icmp():
		return len(segment) >= 8
	default:
		return true
	}
	p.sourcePort = binary.BigEndian.Uint16(segment)
	p.targetPort = binary.BigEndian.Uint16(segment[2:])
	return true
}

// isDHCP reports whether the packet is from or to a port of DHCP. DHCP does not pass between the guest and the wire. One end is enough:
// a client asks a boot server at port 4011 (PXE 2.1, section 2.2.5), and a server answers a relay at any port (RFC 8357, section 3).
func (p *packet) isDHCP() bool {
	return p.protocol == protocolUDP && (p.isDHCPPort(p.targetPort) || p.isDHCPPort(p.sourcePort))
}

func (p *packet) isDHCPPort(port uint16) bool {
	if p.isIPv6 {
		return port == dhcpv6ServerPort || port == dhcpv6ClientPort
	}
	return port == dhcpServerPort || port == dhcpClientPort
}

// icmp returns the protocol number of ICMP in the packet's family.
func (p *packet) icmp() uint8 {
	if p.isIPv6 {
		return protocolICMPv6
	}
	return protocolICMP
}
