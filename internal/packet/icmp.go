package packet

import (
	"encoding/binary"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/vnet"
)

// ICMP types (RFC 792; RFC 4443).
const (
	ICMPUnreachable = 3
	icmpRedirect    = 5
	icmpEcho        = 8
	icmpExceeded    = 11
	icmpParameter   = 12
	icmpv6Echo      = 128 // and the first type that is not an error
)

// A Quote identifies the flow that an ICMP error is about by the packet that the error quotes.
type Quote struct {
	LaterFragment          bool // the quoted packet is a later fragment: the ports are not valid
	Protocol               uint8
	Source, Target         lookup.Key
	SourcePort, TargetPort uint16
}

// IsError reports whether the packet is an ICMP error, or the first fragment of one.
func (p *Packet) IsError(frame []byte) bool {
	if p.Protocol != p.ICMP() || !p.FirstFragment {
		return false
	}
	kind := frame[p.Transport]
	if p.IsIPv6 {
		return kind < icmpv6Echo
	}
	return kind == ICMPUnreachable || kind == icmpRedirect || kind == icmpExceeded || kind == icmpParameter
}

// IsEcho reports whether the packet is an ICMP echo request, or the first fragment of one.
func (p *Packet) IsEcho(frame []byte) bool {
	if p.IsIPv6 {
		return frame[p.Transport] == icmpv6Echo
	}
	return frame[p.Transport] == icmpEcho
}

// Quoted returns the flow that an ICMP error is about. It reports false if p is not an ICMP error or quotes too little.
func (p *Packet) Quoted(frame []byte) (f Quote, ok bool) {
	if !p.IsError(frame) {
		return f, false
	}
	quoted := frame[p.Transport+8 : p.End]
	var h vnet.IPv6
	headerLen := 0
	if p.IsIPv6 && h.Parse(quoted) {
		headerLen = h.Transport
		f = Quote{LaterFragment: h.Offset != 0, Protocol: h.Protocol, Source: lookup.Key6(quoted[8:]), Target: lookup.Key6(quoted[24:])}
	} else if len(quoted) >= IPv4Len && !p.IsIPv6 {
		headerLen = int(quoted[0]&0x0f) * 4
		isLater := binary.BigEndian.Uint16(quoted[6:])&0x1fff != 0
		f = Quote{LaterFragment: isLater, Protocol: quoted[9], Source: lookup.Key4(quoted[12:]), Target: lookup.Key4(quoted[16:])}
	}
	if headerLen < IPv4Len || len(quoted) < headerLen+4 {
		return Quote{}, false
	}
	f.SourcePort, f.TargetPort = binary.BigEndian.Uint16(quoted[headerLen:]), binary.BigEndian.Uint16(quoted[headerLen+2:])
	return f, true
}

// IsControl reports whether the packet is ICMPv6 that belongs to one link: neighbour discovery with its relatives, and multicast listener
// and router discovery (IANA's ICMPv6 parameters). These never pass between the guest and the wire.
func (p *Packet) IsControl(frame []byte) bool {
	if p.Protocol != ProtocolICMPv6 || !p.FirstFragment {
		return false
	}
	t := frame[p.Transport]
	return t >= 130 && t <= 137 || t >= 141 && t <= 143 || t == 148 || t == 149 || t >= 151 && t <= 153
}

// PutICMPv4 writes the IPv4 header of a packet and the checksum of its ICMP message, which follows the header.
func PutICMPv4(ip []byte, source, target lookup.Key) {
	ip[0], ip[1] = 0x45, 0xc0 // internetwork control (RFC 1812, section 4.3.2.5)
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint32(ip[4:], 0) // no identification, and no "don't fragment"
	ip[8], ip[9] = 64, ProtocolICMP
	binary.BigEndian.PutUint16(ip[10:], 0)
	source.Put4(ip[12:])
	target.Put4(ip[16:])
	binary.BigEndian.PutUint16(ip[10:], vnet.Checksum(ip[:IPv4Len], 0))
	binary.BigEndian.PutUint16(ip[IPv4Len+2:], vnet.Checksum(ip[IPv4Len:], 0))
}
