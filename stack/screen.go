package stack

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// What netstack must not believe. It acts on every ICMP error that quotes the addresses and ports of a connection, which an attacker can
// guess (RFC 5927). Of ICMP, only two kinds of message therefore reach it:
//
//   - Echo requests.
//   - "Fragmentation needed" for a connection, if the quoted sequence number is that of data in flight, as Linux requires (tcp_ipv4.c,
//     tcp_v4_err). Its MTU is raised to the least that Linux accepts.
//
// "Port unreachable" about an answer of a kept UDP port ends the flow, without netstack: the target learns of it from its kernel.
//
// The other errors are of no use: a connection that cannot go on ends by its timeouts, and so does a handshake, which netstack would end
// at the first error. An error in fragments loses its first one here, so that netstack never completes it.
//
// For TCP, screenTCP makes up for what netstack lacks.

// minPathMTU is the least MTU of a path, in bytes: Linux's net.ipv4.route.min_pmtu.
const minPathMTU = 552

// Codes and flags (RFC 792; RFC 9293, section 3.1).
const (
	icmpEchoRequest = uint8(header.ICMPv4Echo)
	icmpUnreachable = uint8(header.ICMPv4DstUnreachable)
	icmpTooBig      = uint8(header.ICMPv4FragmentationNeeded)
	icmpNoPort      = uint8(header.ICMPv4PortUnreachable)
	offICMPChecksum = 2
	offICMPMTU      = 6
	icmpQuote       = 8 // offset of the quoted packet
)

// screen reports whether a packet may reach netstack. It may change the packet, or return another one in its place. The view is a copy of
// an admitted frame, with complete checksums; netstack verifies them later.
func (e *Endpoint) screen(view *buffer.View) (*buffer.View, bool) {
	frame := view.AsSlice()
	if binary.BigEndian.Uint16(frame[offEthertype:]) != ethertypeIPv4 {
		return view, true
	}
	ip := header.IPv4(frame[offNetwork:])
	start, end := int(ip.HeaderLength()), int(ip.TotalLength())
	if start < header.IPv4MinimumSize || end < start || end > len(ip) || ip.FragmentOffset() != 0 {
		return view, true // netstack refuses it, or it is of no use without its first fragment
	}
	switch payload := ip[start:end]; ip.TransportProtocol() {
	case header.ICMPv4ProtocolNumber:
		return view, e.mayPassICMP(ip, payload)
	case header.TCPProtocolNumber:
		if len(payload) >= header.TCPMinimumSize && !ip.More() {
			return e.screenTCP(view, ip, header.TCP(payload)), true
		}
	}
	return view, true
}

// mayPassICMP reports whether an ICMP message may reach netstack, and raises the MTU in it.
func (e *Endpoint) mayPassICMP(ip header.IPv4, message []byte) bool {
	if len(message) < header.ICMPv4MinimumSize {
		return false
	}
	switch {
	case message[0] == icmpEchoRequest:
		return true
	case message[0] == icmpUnreachable && message[1] == icmpNoPort && !ip.More():
		e.endFlow(message[icmpQuote:])
		return false
	case message[0] != icmpUnreachable || message[1] != icmpTooBig || ip.More() || !e.isInFlight(message[icmpQuote:]):
		return false
	}
	if binary.BigEndian.Uint16(message[offICMPMTU:]) < minPathMTU {
		replaceWord(message, offICMPMTU, minPathMTU, offICMPChecksum)
	}
	return true
}

// endFlow ends the flow of a kept port that a quoted packet belongs to.
func (e *Endpoint) endFlow(quoted header.IPv4) {
	datagram, ok := quotedTransport(quoted, header.UDPProtocolNumber)
	if !ok || quoted.SourceAddress() != stackAddress(e.cfg.Address) {
		return
	}
	s, ok := e.flows.Load(binary.BigEndian.Uint16(datagram))
	if !ok {
		return
	}
	address, _ := netip.AddrFromSlice(quoted.DestinationAddressSlice())
	if f := s.(*flows).find(netip.AddrPortFrom(address, binary.BigEndian.Uint16(datagram[2:]))); f != nil {
		s.(*flows).end(f)
	}
}

// quotedTransport returns at least the first 8 bytes of the transport header in a quoted packet of a protocol.
func quotedTransport(quoted header.IPv4, protocol tcpip.TransportProtocolNumber) ([]byte, bool) {
	if len(quoted) < header.IPv4MinimumSize || quoted.TransportProtocol() != protocol || quoted.FragmentOffset() != 0 {
		return nil, false
	}
	start := int(quoted.HeaderLength())
	if start < header.IPv4MinimumSize || len(quoted) < start+8 {
		return nil, false
	}
	return quoted[start:], true
}

// isInFlight reports whether a quoted packet is a segment of a connection whose sequence number has been sent and not acknowledged.
func (e *Endpoint) isInFlight(quoted header.IPv4) bool {
	segment, ok := quotedTransport(quoted, header.TCPProtocolNumber)
	if !ok {
		return false
	}
	c := e.connection(netstack.TransportEndpointID{
		LocalAddress: quoted.SourceAddress(), LocalPort: binary.BigEndian.Uint16(segment),
		RemoteAddress: quoted.DestinationAddress(), RemotePort: binary.BigEndian.Uint16(segment[2:]),
	})
	if c == nil {
		return false
	}
	s, ok := sequencesOf(c)
	offset := binary.BigEndian.Uint32(segment[4:]) - s.sndUna
	return ok && offset <= s.sndNxt-s.sndUna
}

// connection returns the connection with these addresses and ports, or nil.
func (e *Endpoint) connection(id netstack.TransportEndpointID) *tcp.Endpoint {
	c, _ := e.stack.FindTransportEndpoint(header.IPv4ProtocolNumber, header.TCPProtocolNumber, id, nicID).(*tcp.Endpoint)
	return c
}

// replaceWord writes value at an offset of b, which may be odd, and corrects the Internet checksum at another offset (RFC 1624). A wrong
// checksum stays wrong.
func replaceWord(b []byte, at int, value uint16, sumAt int) {
	before := binary.BigEndian.Uint16(b[at:])
	binary.BigEndian.PutUint16(b[at:], value)
	if at%2 != 0 {
		before, value = before<<8|before>>8, value<<8|value>>8
	}
	addToSum(b[sumAt:], uint32(^before)+uint32(value))
}

// addToSum corrects the Internet checksum at the start of b for words of this sum that were added to the packet.
func addToSum(b []byte, words uint32) {
	sum := uint32(^binary.BigEndian.Uint16(b)) + words
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b, ^uint16(sum))
}
