package vswitch

import (
	"encoding/binary"

	"github.com/podswitch/podswitch/vnet"
)

// ICMP types and codes (RFC 792, RFC 1122).
const (
	icmpUnreachable = 3
	icmpRedirect    = 5
	icmpEcho        = 8
	icmpExceeded    = 11
	icmpParameter   = 12

	codeNetUnreachable  = 0
	codeHostUnreachable = 1
	codeFragmentNeeded  = 4
	codeProhibited      = 13
)

// icmpQuote is the number of bytes behind the IP header that an ICMP error quotes. With an IP header of the largest size, 60 bytes,
// the error is a packet of 576 bytes, the limit of RFC 1812, section 4.3.2.3.
const icmpQuote = 576 - 2*ipv4Len - 8 - 40

func isICMPError(kind uint8) bool {
	return kind == icmpUnreachable || kind == icmpRedirect || kind == icmpExceeded || kind == icmpParameter
}

// A quotedFlow identifies the flow that an ICMP error is about by the packet that the error quotes.
type quotedFlow struct {
	laterFragment          bool // the quoted packet is a later fragment: the ports are not valid
	protocol               uint8
	source, target         key
	sourcePort, targetPort uint16
}

// isError reports whether the packet is an ICMP error, or the first fragment of one.
func (p *packet) isError(frame []byte) bool {
	return p.protocol == protocolICMP && p.firstFragment && isICMPError(frame[p.transport])
}

// quoted returns the flow that an ICMP error is about. It reports false if p is not an ICMP error or quotes too little.
func (p *packet) quoted(frame []byte) (f quotedFlow, ok bool) {
	if !p.isError(frame) {
		return f, false
	}
	quoted := frame[p.transport+8 : p.end]
	if len(quoted) < ipv4Len {
		return f, false
	}
	headerLen := int(quoted[0]&0x0f) * 4
	if headerLen < ipv4Len || len(quoted) < headerLen+4 {
		return f, false
	}
	return quotedFlow{
		laterFragment: binary.BigEndian.Uint16(quoted[6:])&0x1fff != 0,
		protocol:      quoted[9],
		source:        key4(quoted[12:]),
		target:        key4(quoted[16:]),
		sourcePort:    binary.BigEndian.Uint16(quoted[headerLen:]),
		targetPort:    binary.BigEndian.Uint16(quoted[headerLen+2:]),
	}, true
}

// sendICMPError sends ICMP destination unreachable to the sender of a frame, at the port where the frame entered, unless RFC 1122,
// section 3.2.2, forbids it. With codeFragmentNeeded, mtu is that of the next hop (RFC 1191, section 4); otherwise it is 0.
func (v *Family) sendICMPError(port int, frame []byte, p *packet, code uint8, mtu int, out *Out) {
	if !p.firstFragment || p.target.isGroup(v.isIPv6) || v.isBroadcast(p.target) || p.protocol == protocolICMP && isICMPError(frame[p.transport]) {
		return
	}
	quote := frame[ethernetLen:min(p.end, p.transport+icmpQuote)]
	b := out.buffer(ethernetLen + ipv4Len + 8 + len(quote))
	if b == nil {
		return
	}
	setMACs(b, sender(frame), v.cfg.RouterMAC)
	binary.BigEndian.PutUint16(b[12:], typeIPv4)
	ip := b[ethernetLen:]
	ip[0], ip[1] = 0x45, 0xc0 // internetwork control (RFC 1812, section 4.3.2.5)
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint32(ip[4:], 0) // no identification, and no "don't fragment"
	ip[8], ip[9] = 64, protocolICMP
	binary.BigEndian.PutUint16(ip[10:], 0)
	out.uplink.of(v).router.put4(ip[12:])
	p.source.put4(ip[16:])
	binary.BigEndian.PutUint16(ip[10:], vnet.Checksum(ip[:ipv4Len], 0))
	message := ip[ipv4Len:]
	message[0], message[1] = icmpUnreachable, code
	binary.BigEndian.PutUint32(message[2:], 0)
	binary.BigEndian.PutUint16(message[6:], uint16(mtu))
	copy(message[8:], quote)
	binary.BigEndian.PutUint16(message[2:], vnet.Checksum(message, 0))
	out.Send(port, Frame{Data: b})
}
