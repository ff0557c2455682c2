package vswitch

import (
	"encoding/binary"

	"github.com/podswitch/podswitch/internal/packet"
	"github.com/podswitch/podswitch/vnet"
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
	errorNoRoute:         {[2]uint8{packet.ICMPUnreachable, 0}, [2]uint8{1, 0}},
	errorHostUnreachable: {[2]uint8{packet.ICMPUnreachable, 1}, [2]uint8{1, 3}},
	errorTooBig:          {[2]uint8{packet.ICMPUnreachable, 4}, [2]uint8{2, 0}},
	errorProhibited:      {[2]uint8{packet.ICMPUnreachable, 13}, [2]uint8{1, 1}},
}

const (
	// icmpQuote is the number of bytes behind the IP header that an ICMP error quotes. With an IP header of the largest size, 60 bytes,
	// the error is a packet of 576 bytes, the limit of RFC 1812, section 4.3.2.3.
	icmpQuote = 576 - 2*packet.IPv4Len - 8 - 40
	// minMTU is the smallest MTU of IPv6. An ICMPv6 error quotes as much of a packet as fits (RFC 4443, section 3.1).
	minMTU = 1280
	// errorLimit is the most ICMPv6 errors between two ticks, as RFC 4443, section 2.4 (f), requires a limit. As in Linux, it does not
	// concern errorTooBig, without which connections would stall.
	errorLimit = 1000
)

// sendICMPError sends an ICMP error to the sender of a frame, at the port where the frame entered, unless RFC 1122, section 3.2.2, or RFC
// 4443, section 2.4, forbids it. With errorTooBig, mtu is that of the next hop (RFC 1191, section 4; RFC 8201); otherwise it is 0.
func (v *Family) sendICMPError(port int, frame []byte, p *packet.Packet, e icmpError, mtu int, out *Out) {
	isToGroup := (p.Target.IsGroup(v.isIPv6) || v.isBroadcast(p.Target)) && !(v.isIPv6 && e == errorTooBig)
	if !p.FirstFragment || isToGroup || p.IsError(frame) || v.isIPv6 && e != errorTooBig && v.errors.Add(1) > errorLimit {
		return
	}
	headerLen, quoteEnd, kind, router := packet.IPv4Len, p.Transport+icmpQuote, icmpErrors[e].ipv4, out.uplink.of(v).router
	if v.isIPv6 {
		headerLen, quoteEnd, kind = packet.IPv6Len, packet.EthernetLen+minMTU-packet.IPv6Len-8, icmpErrors[e].ipv6
	}
	quote := frame[packet.EthernetLen:min(p.End, quoteEnd)]
	b := out.buffer(packet.EthernetLen + headerLen + 8 + len(quote))
	if b == nil {
		return
	}
	packet.SetHeader(b, sender(frame), v.cfg.RouterMAC, v.ethertype)
	ip, message := b[packet.EthernetLen:], b[packet.EthernetLen+headerLen:]
	message[0], message[1] = kind[0], kind[1]
	binary.BigEndian.PutUint16(message[2:], 0)
	binary.BigEndian.PutUint32(message[4:], uint32(mtu))
	copy(message[8:], quote)
	if v.isIPv6 {
		vnet.PutICMPv6(ip, 64, router.Bytes(), p.Source.Bytes())
	} else {
		packet.PutICMPv4(ip, router, p.Source)
	}
	out.Send(port, Frame{Data: b})
}
