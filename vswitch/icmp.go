package vswitch

import (
	"encoding/binary"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/vnet"
)

// ICMP types (RFC 792; RFC 4443).
const (
	icmpUnreachable = 3
	icmpRedirect    = 5
	icmpEcho        = 8
	icmpExceeded    = 11
	icmpParameter   = 12
	icmpv6Echo      = 128 // and the first type that is not an error
)

// An icmpError is a reason that the sender of a packet is told of.
type icmpError uint8

const (
	errorNoRoute icmpError = iota
	errorHostUnreachable
	errorTooBig
	errorProhibited
)

// icmpErrors has the type and the code of each error in IPv4 (RFC 792, RFC 1812) and in IPv6 (RFC 4443).
var icmpErrors = [...]struct{ ipv4, ipv6 [2]uint8 }{
	errorNoRoute:         {[2]uint8{icmpUnreachable, 0}, [2]uint8{1, 0}},
	errorHostUnreachable: {[2]uint8{icmpUnreachable, 1}, [2]uint8{1, 3}},
	errorTooBig:          {[2]uint8{icmpUnreachable, 4}, [2]uint8{2, 0}},
	errorProhibited:      {[2]uint8{icmpUnreachable, 13}, [2]uint8{1, 1}},
}

const (
	// icmpQuote is the number of bytes behind the IP header that an ICMP error quotes. With an IP header of the largest size, 60 bytes,
	// the error is a packet of 576 bytes, the limit of RFC 1812, section 4.3.2.3.
	icmpQuote = 576 - 2*ipv4Len - 8 - 40
	// minMTU is the smallest MTU of IPv6. An ICMPv6 error quotes as much of a packet as fits (RFC 4443, section 3.1).
	minMTU = 1280
	// errorLimit is the most ICMPv6 errors between two ticks, as RFC 4443, section 2.4 (f), requires a limit. As in Linux, it does not
	// concern errorTooBig, without which connections would stall.
	errorLimit = 1000
)

// A quotedFlow identifies the flow that an ICMP error is about by the packet that the error quotes.
type quotedFlow struct {
	laterFragment          bool // the quoted packet is a later fragment: the ports are not valid
	protocol               uint8
	source, target         lookup.Key
	sourcePort, targetPort uint16
}

// isError reports whether the packet is an ICMP error, or the first fragment of one.
func (p *packet) isError(frame []byte) bool {
	if p.protocol != p.icmp() || !p.firstFragment {
		return false
	}
	kind := frame[p.transport]
	if p.isIPv6 {
		return kind < icmpv6Echo
	}
	return kind == icmpUnreachable || kind == icmpRedirect || kind == icmpExceeded || kind == icmpParameter
}

// isEcho reports whether the packet is an ICMP echo request, or the first fragment of one.
func (p *packet) isEcho(frame []byte) bool {
	if p.isIPv6 {
		return frame[p.transport] == icmpv6Echo
	}
	return frame[p.transport] == icmpEcho
}

// quoted returns the flow that an ICMP error is about. It reports false if p is not an ICMP error or quotes too little.
func (p *packet) quoted(frame []byte) (f quotedFlow, ok bool) {
	if !p.isError(frame) {
		return f, false
	}
	quoted := frame[p.transport+8 : p.end]
	var h vnet.IPv6
	headerLen := 0
	if p.isIPv6 && h.Parse(quoted) {
		headerLen = h.Transport
		f = quotedFlow{laterFragment: h.Offset != 0, protocol: h.Protocol, source: lookup.Key6(quoted[8:]), target: lookup.Key6(quoted[24:])}
	} else if len(quoted) >= ipv4Len && !p.isIPv6 {
		headerLen = int(quoted[0]&0x0f) * 4
		isLater := binary.BigEndian.Uint16(quoted[6:])&0x1fff != 0
		f = quotedFlow{laterFragment: isLater, protocol: quoted[9], source: lookup.Key4(quoted[12:]), target: lookup.Key4(quoted[16:])}
	}
	if headerLen < ipv4Len || len(quoted) < headerLen+4 {
		return quotedFlow{}, false
	}
	f.sourcePort, f.targetPort = binary.BigEndian.Uint16(quoted[headerLen:]), binary.BigEndian.Uint16(quoted[headerLen+2:])
	return f, true
}

// sendICMPError sends an ICMP error to the sender of a frame, at the port where the frame entered, unless RFC 1122, section 3.2.2, or RFC
// 4443, section 2.4, forbids it. With errorTooBig, mtu is that of the next hop (RFC 1191, section 4; RFC 8201); otherwise it is 0.
func (v *Family) sendICMPError(port int, frame []byte, p *packet, e icmpError, mtu int, out *Out) {
	isToGroup := (p.target.IsGroup(v.isIPv6) || v.isBroadcast(p.target)) && !(v.isIPv6 && e == errorTooBig)
	if !p.firstFragment || isToGroup || p.isError(frame) || v.isIPv6 && e != errorTooBig && v.errors.Add(1) > errorLimit {
		return
	}
	headerLen, quoteEnd, kind, router := ipv4Len, p.transport+icmpQuote, icmpErrors[e].ipv4, out.uplink.of(v).router
	if v.isIPv6 {
		headerLen, quoteEnd, kind = ipv6Len, ethernetLen+minMTU-ipv6Len-8, icmpErrors[e].ipv6
	}
	quote := frame[ethernetLen:min(p.end, quoteEnd)]
	b := out.buffer(ethernetLen + headerLen + 8 + len(quote))
	if b == nil {
		return
	}
	setHeader(b, sender(frame), v.cfg.RouterMAC, v.ethertype)
	ip, message := b[ethernetLen:], b[ethernetLen+headerLen:]
	message[0], message[1] = kind[0], kind[1]
	binary.BigEndian.PutUint16(message[2:], 0)
	binary.BigEndian.PutUint32(message[4:], uint32(mtu))
	copy(message[8:], quote)
	if v.isIPv6 {
		vnet.PutICMPv6(ip, 64, router.Bytes(), p.source.Bytes())
	} else {
		putICMPv4(ip, router, p.source)
	}
	out.Send(port, Frame{Data: b})
}

// putICMPv4 writes the IPv4 header of a packet and the checksum of its ICMP message, which follows the header.
func putICMPv4(ip []byte, source, target lookup.Key) {
	ip[0], ip[1] = 0x45, 0xc0 // internetwork control (RFC 1812, section 4.3.2.5)
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint32(ip[4:], 0) // no identification, and no "don't fragment"
	ip[8], ip[9] = 64, protocolICMP
	binary.BigEndian.PutUint16(ip[10:], 0)
	source.Put4(ip[12:])
	target.Put4(ip[16:])
	binary.BigEndian.PutUint16(ip[10:], vnet.Checksum(ip[:ipv4Len], 0))
	binary.BigEndian.PutUint16(ip[ipv4Len+2:], vnet.Checksum(ip[ipv4Len:], 0))
}
