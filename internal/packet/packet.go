package packet

import (
	"encoding/binary"
	"math/bits"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/vnet"
)

// IP protocol numbers (IANA).
const (
	ProtocolICMP = 1
	ProtocolTCP  = 6
	ProtocolUDP  = 17

	ProtocolICMPv6 = 58
)

// UDP ports of DHCP (RFC 2131, section 4.1) and DHCPv6 (RFC 8415, section 7.2).
const (
	DHCPServerPort   = 67
	DHCPClientPort   = 68
	DHCPv6ClientPort = 546
	DHCPv6ServerPort = 547
)

// A Packet holds the fields of a validated IPv4 or IPv6 packet that the forwarders use. All offsets, and the headers at them, lie within
// the frame.
type Packet struct {
	Source, Target         lookup.Key
	SourcePort, TargetPort uint16 // of TCP and UDP; 0 in later fragments
	Protocol               uint8
	IsIPv6                 bool
	IsRouted               bool // IPv6: the destination is not the final one
	Offset                 int  // of a fragment within its packet, in bytes
	FirstFragment          bool // Offset is 0: the packet contains the transport header
	Fragment               bool // one of several fragments
	DontFragment           bool // IPv6: always
	Transport              int  // offset of the transport header in the frame
	End                    int  // offset of the first byte behind the packet; Ethernet padding may follow
}

// Parse validates the IP header of a frame and, except in later fragments, its TCP, UDP or ICMP header. It reports false for a
// packet that is truncated, has inconsistent lengths or a wrong header checksum. p must be zero.
func (p *Packet) Parse(frame []byte) bool {
	return p.ParseHeader(frame) && (!p.FirstFragment || p.ParseTransport(frame))
}

// ParseHeader validates the IP header alone.
func (p *Packet) ParseHeader(frame []byte) bool {
	if Ethertype(frame) == TypeIPv6 {
		return p.parseIPv6(frame)
	}
	if len(frame) < EthernetLen+IPv4Len {
		return false
	}
	ip := frame[EthernetLen:]
	headerLen := int(ip[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(ip[2:]))
	if ip[0]>>4 != 4 || headerLen < IPv4Len || total < headerLen || total > len(ip) || !hasChecksum(ip, headerLen) {
		return false
	}
	flags := binary.BigEndian.Uint16(ip[6:])
	p.Source, p.Target, p.Protocol = lookup.Key4(ip[12:]), lookup.Key4(ip[16:]), ip[9]
	p.Offset = int(flags&0x1fff) * 8
	p.FirstFragment, p.Fragment, p.DontFragment = p.Offset == 0, flags&0x3fff != 0, flags&0x4000 != 0
	p.Transport, p.End = EthernetLen+headerLen, EthernetLen+total
	return true
}

func (p *Packet) parseIPv6(frame []byte) bool {
	ip := frame[EthernetLen:]
	var h vnet.IPv6
	if !h.Parse(ip) || h.End == 0 {
		return false
	}
	p.Source, p.Target, p.Protocol = lookup.Key6(ip[8:]), lookup.Key6(ip[24:]), h.Protocol
	p.Offset = h.Offset
	p.FirstFragment, p.Fragment, p.DontFragment = p.Offset == 0, h.Fragment, true
	p.IsIPv6, p.IsRouted = true, h.Routed
	p.Transport, p.End = EthernetLen+h.Transport, EthernetLen+h.End
	return true
}

// hasChecksum reports whether the checksum of an IPv4 header is right (RFC 1122, section 3.2.1.2). A host drops such a packet, and a
// device that cuts or merges it would replace the wrong checksum by a right one.
func hasChecksum(ip []byte, headerLen int) bool {
	if headerLen > IPv4Len {
		return vnet.Sum(ip[:headerLen], 0) == 0xffff
	}
	// The ones' complement sum of 16-bit words in either byte order is 0xffff if a sum of wider words with its carries is a multiple of
	// 0xffff (RFC 1071, section 2). It is not 0, because the version is not.
	header := (*[IPv4Len]byte)(ip)
	sum, carry := bits.Add64(binary.NativeEndian.Uint64(header[:]), binary.NativeEndian.Uint64(header[8:]), 0)
	sum, carry = bits.Add64(sum, uint64(binary.NativeEndian.Uint32(header[16:])), carry)
	return (sum+carry)%0xffff == 0
}

// ParseTransport validates the TCP, UDP or ICMP header of a packet that ParseHeader has accepted, or of its first fragment.
func (p *Packet) ParseTransport(frame []byte) bool {
	segment := frame[p.Transport:p.End]
	switch p.Protocol {
	case ProtocolTCP:
		if len(segment) < TCPLen {
			return false
		}
		if offset := int(segment[12]>>4) * 4; offset < TCPLen || offset > len(segment) {
			return false
		}
	case ProtocolUDP:
		if len(segment) < UDPLen {
			return false
		}
		if n := int(binary.BigEndian.Uint16(segment[4:])); n < UDPLen || n > len(segment) && !p.Fragment {
			return false
		}
	case p.ICMP():
		return len(segment) >= 8
	default:
		return true
	}
	p.SourcePort = binary.BigEndian.Uint16(segment)
	p.TargetPort = binary.BigEndian.Uint16(segment[2:])
	return true
}

// IsDHCP reports whether the packet is from or to a port of DHCP. DHCP does not pass between the guest and the wire. One end is enough:
// a client asks a boot server at port 4011 (PXE 2.1, section 2.2.5), and a server answers a relay at any port (RFC 8357, section 3).
func (p *Packet) IsDHCP() bool {
	return p.Protocol == ProtocolUDP && (p.isDHCPPort(p.TargetPort) || p.isDHCPPort(p.SourcePort))
}

func (p *Packet) isDHCPPort(port uint16) bool {
	if p.IsIPv6 {
		return port == DHCPv6ServerPort || port == DHCPv6ClientPort
	}
	return port == DHCPServerPort || port == DHCPClientPort
}

// ICMP returns the protocol number of ICMP in the packet's family.
func (p *Packet) ICMP() uint8 {
	if p.IsIPv6 {
		return ProtocolICMPv6
	}
	return ProtocolICMP
}
