package stack

import (
	"encoding/binary"
	"net/netip"

	"github.com/podswitch/podswitch/vnet"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// One view of packets for both IP families.

// A family has what differs between the families.
type family struct {
	number    tcpip.NetworkProtocolNumber
	icmp      tcpip.TransportProtocolNumber
	headerLen int // without IPv4 options and IPv6 extension headers
	icmpKinds
}

// icmpKinds are the types and codes of ICMP messages that the endpoint knows (RFC 792, RFC 4443).
type icmpKinds struct {
	echoRequest, unreachable, noPort uint8
	tooBig, tooBigCode               uint8
	offMTU                           int    // of the MTU in tooBig, 16 bits
	minPathMTU                       uint16 // the least MTU of a path: Linux's net.ipv4.route.min_pmtu; RFC 8200, section 5
	maxError                         int    // length of the largest error: RFC 1812, section 4.3.2.3; RFC 4443, section 3.1
}

var (
	familyIPv4 = &family{ipv4.ProtocolNumber, header.ICMPv4ProtocolNumber, header.IPv4MinimumSize,
		icmpKinds{echoRequest: 8, unreachable: 3, noPort: 3, tooBig: 3, tooBigCode: 4, offMTU: 6, minPathMTU: 552, maxError: 576}}
	familyIPv6 = &family{ipv6.ProtocolNumber, header.ICMPv6ProtocolNumber, header.IPv6MinimumSize,
		icmpKinds{echoRequest: 128, unreachable: 1, noPort: 4, tooBig: 2, offMTU: 6, minPathMTU: 1280, maxError: 1280}}
)

// familyOf returns the family of an address.
func familyOf(a netip.Addr) *family {
	if a.Is4() {
		return familyIPv4
	}
	return familyIPv6
}

// networkProtocol returns that of a connection.
func networkProtocol(id netstack.TransportEndpointID) tcpip.NetworkProtocolNumber {
	if id.LocalAddress.Len() == header.IPv4AddressSize {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// A packet is an IP packet, or the beginning of one. payload is the transport header and what follows it. The first fragment has one, too.
type packet struct {
	*family
	bytes               []byte
	source, destination tcpip.Address
	protocol            tcpip.TransportProtocolNumber
	start               int // offset of payload in bytes
	payload             []byte
	isFragment, isLater bool // later: not the first fragment
}

// parse locates the parts of an IP packet. A quoted packet may be cut off. It returns false for a header that netstack refuses, and for an
// IPv6 extension header other than that of fragments.
func (f *family) parse(b []byte, isQuoted bool) (p packet, ok bool) {
	if len(b) < f.headerLen {
		return p, false
	}
	p = packet{family: f, bytes: b}
	end := 0
	if f == familyIPv4 {
		ip := header.IPv4(b)
		p.source, p.destination, p.protocol = ip.SourceAddress(), ip.DestinationAddress(), ip.TransportProtocol()
		p.start, end = int(ip.HeaderLength()), int(ip.TotalLength())
		p.isFragment, p.isLater = ip.More() || ip.FragmentOffset() != 0, ip.FragmentOffset() != 0
	} else {
		ip := header.IPv6(b)
		p.source, p.destination, p.protocol = ip.SourceAddress(), ip.DestinationAddress(), tcpip.TransportProtocolNumber(ip.NextHeader())
		p.start, end = header.IPv6MinimumSize, header.IPv6MinimumSize+int(ip.PayloadLength())
		p.parseFragmentHeader()
	}
	if isQuoted {
		end = len(b)
	}
	if p.start < f.headerLen || end < p.start || end > len(b) {
		return p, false
	}
	p.payload = b[p.start:end]
	return p, f == familyIPv4 || p.protocol == f.icmp || p.protocol == header.TCPProtocolNumber || p.protocol == header.UDPProtocolNumber
}

// parseFragmentHeader skips the header of a fragment (RFC 8200, section 4.5).
func (p *packet) parseFragmentHeader() {
	if p.protocol != header.IPv6FragmentHeader || len(p.bytes) < p.start+header.IPv6FragmentHeaderSize {
		return
	}
	fragment := p.bytes[p.start:]
	p.protocol = tcpip.TransportProtocolNumber(fragment[0])
	p.isFragment, p.isLater = true, binary.BigEndian.Uint16(fragment[2:])>>3 != 0
	p.start += header.IPv6FragmentHeaderSize
}

// quotedTransport returns the addresses of a packet that an ICMP error quotes, and at least the first 8 bytes of its transport header, if
// it has the given protocol.
func (f *family) quotedTransport(quoted []byte, protocol tcpip.TransportProtocolNumber) (p packet, ok bool) {
	p, ok = f.parse(quoted, true)
	return p, ok && p.protocol == protocol && !p.isLater && len(p.payload) >= 8
}

// newPacket returns an IP packet with room for a number of bytes behind its header.
func newPacket(protocol tcpip.TransportProtocolNumber, from, to netip.Addr, length int) []byte {
	if from.Is6() {
		packet := make([]byte, header.IPv6MinimumSize+length)
		header.IPv6(packet).Encode(&header.IPv6Fields{
			PayloadLength: uint16(length), TransportProtocol: protocol, HopLimit: replyTTL,
			SrcAddr: stackAddress(from), DstAddr: stackAddress(to),
		})
		return packet
	}
	packet := make([]byte, header.IPv4MinimumSize+length)
	ip := header.IPv4(packet)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(packet)),
		Flags:       header.IPv4FlagDontFragment,
		TTL:         replyTTL,
		Protocol:    uint8(protocol),
		SrcAddr:     stackAddress(from),
		DstAddr:     stackAddress(to),
	})
	ip.SetChecksum(vnet.Checksum(packet[:header.IPv4MinimumSize], 0))
	return packet
}

// datagram returns an IP packet with a UDP datagram. Its checksum is complete, because DHCP clients that read raw frames verify it and
// ignore offloads.
func datagram(from, to netip.AddrPort, payload []byte) []byte {
	packet := newPacket(header.UDPProtocolNumber, from.Addr(), to.Addr(), header.UDPMinimumSize+len(payload))
	udp := header.UDP(packet[familyOf(from.Addr()).headerLen:])
	udp.Encode(&header.UDPFields{SrcPort: from.Port(), DstPort: to.Port(), Length: uint16(len(udp))})
	copy(udp.Payload(), payload)
	sum := transportChecksum(udp, from.Addr(), to.Addr(), header.UDPProtocolNumber)
	if sum == 0 {
		sum = 0xffff // 0 means no checksum (RFC 768)
	}
	udp.SetChecksum(sum)
	return packet
}

// transportChecksum returns the checksum of a transport header and its payload with the pseudo-header.
func transportChecksum(b []byte, from, to netip.Addr, protocol tcpip.TransportProtocolNumber) uint16 {
	return vnet.Checksum(b, vnet.PseudoSum(from.AsSlice(), to.AsSlice(), uint8(protocol), len(b)))
}
