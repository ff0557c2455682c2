package stack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// What netstack must not believe. It acts on every ICMP error that quotes the addresses and ports of a connection, which an attacker can
// guess (RFC 5927). Of ICMP, only two kinds of message therefore reach it:
//
//   - Echo requests.
//   - "Fragmentation needed" or "packet too big" for a connection, if the quoted sequence number is that of data in flight, as Linux requires
//     (tcp_ipv4.c, tcp_v4_err). With IPv4 its MTU is raised to the least that Linux accepts; with IPv6 a smaller one is ignored.
//
// "Port unreachable" about an answer of a kept UDP port ends the flow, without netstack: the target learns of it from its kernel.
//
// The other errors are of no use: a connection that cannot go on ends by its timeouts, and so does a handshake, which netstack would end
// at the first error. An error in fragments loses its first one here, so that netstack never completes it.
//
// For TCP, screenTCP makes up for what netstack lacks.

// Offsets in an ICMP message.
const (
	offICMPChecksum = 2
	icmpQuote       = 8 // of the quoted packet
)

// screen reports whether a packet may reach netstack. It may change the packet, or return another one in its place. The view is a copy of
// an admitted frame, with complete checksums; netstack verifies them later.
func (e *Endpoint) screen(view *buffer.View) (*buffer.View, bool) {
	f := familyIPv4
	frame := view.AsSlice()
	switch binary.BigEndian.Uint16(frame[offEthertype:]) {
	case ethertypeARP:
		return view, true
	case ethertypeIPv6:
		f = familyIPv6
	}
	p, ok := f.parse(frame[offNetwork:], false)
	switch {
	case !ok:
		return view, f == familyIPv4 // netstack refuses it; the headers of the others are not known
	case p.isLater: // of no use without the first fragment
	case p.protocol == f.icmp:
		return view, e.mayPassICMP(&p)
	case p.protocol == header.TCPProtocolNumber && len(p.payload) >= header.TCPMinimumSize && !p.isFragment:
		return e.screenTCP(view, &p), true
	}
	return view, true
}

// mayPassICMP reports whether an ICMP message may reach netstack, and raises the MTU in one of IPv4.
func (e *Endpoint) mayPassICMP(p *packet) bool {
	message := p.payload
	if len(message) < icmpQuote {
		return false
	}
	kind, code, quote := message[0], message[1], message[icmpQuote:]
	switch {
	case kind == p.echoRequest:
		return true
	case p.isFragment:
		return false
	case kind == p.unreachable && code == p.noPort:
		e.endFlow(p.family, quote)
		return false
	case kind != p.tooBig || code != p.tooBigCode || !e.isInFlight(p.family, quote):
		return false
	}
	if p.family == familyIPv6 {
		return binary.BigEndian.Uint32(message[4:]) >= uint32(p.minPathMTU) // RFC 8201, section 4: a smaller one is ignored
	}
	if binary.BigEndian.Uint16(message[p.offMTU:]) < p.minPathMTU {
		replaceWord(message, p.offMTU, p.minPathMTU, offICMPChecksum)
	}
	return true
}

// endFlow ends the flow of a kept port that a quoted packet belongs to.
func (e *Endpoint) endFlow(f *family, quote []byte) {
	quoted, ok := f.quotedTransport(quote, header.UDPProtocolNumber)
	if !ok {
		return
	}
	s, ok := e.flows.Load(addrPortOf(quoted.source, binary.BigEndian.Uint16(quoted.payload)))
	if !ok {
		return
	}
	if f := s.(*flows).find(addrPortOf(quoted.destination, binary.BigEndian.Uint16(quoted.payload[2:]))); f != nil {
		s.(*flows).end(f)
	}
}

// isInFlight reports whether a quoted packet is a segment of a connection whose sequence number has been sent and not acknowledged.
func (e *Endpoint) isInFlight(f *family, quote []byte) bool {
	quoted, ok := f.quotedTransport(quote, header.TCPProtocolNumber)
	if !ok {
		return false
	}
	segment := quoted.payload
	c := e.connection(netstack.TransportEndpointID{
		LocalAddress: quoted.source, LocalPort: binary.BigEndian.Uint16(segment),
		RemoteAddress: quoted.destination, RemotePort: binary.BigEndian.Uint16(segment[2:]),
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
	c, _ := e.stack.FindTransportEndpoint(networkProtocol(id), header.TCPProtocolNumber, id, nicID).(*tcp.Endpoint)
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
