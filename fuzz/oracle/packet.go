package oracle

import "net/netip"

// IP protocol numbers.
const (
	icmp = 1
	tcp  = 6
	udp  = 17
)

// packet has the parts of an IPv4 packet (RFC 791, section 3.1). They are read-only: they share the frame's memory.
type packet struct {
	header         []byte // with its options
	segment        []byte // payload without Ethernet padding
	source, target netip.Addr
	protocol       byte
	first          bool // offset 0: the packet contains the transport header
	fragment       bool // one of several
	whole          bool // DF: must not be fragmented
	from, to       int  // ports of TCP and UDP; otherwise -1
	offset         int  // of a fragment, in bytes
	six            bool // IPv6
	routed         bool // an IPv6 routing header has segments left
}

// readPacket reports false if the IPv4, TCP, UDP or ICMP header is truncated or has inconsistent lengths, or if the words of the IPv4 header
// do not add up to 0xffff.
func readPacket(frame []byte) (packet, bool) {
	if kind(frame) == typeIPv6 {
		return readPacket6(frame)
	}
	if len(frame) < ethernetHeader+20 {
		return packet{}, false
	}
	ip := frame[ethernetHeader:]
	header, total := int(ip[0]%16)*4, int(word(ip, 2))
	if ip[0]/16 != 4 || header < 20 || total < header || total > len(ip) || onesSum(ip[:header]) != 0xffff {
		return packet{}, false
	}
	p := packet{
		header: ip[:header], segment: ip[header:total],
		source: address(ip[12:16]), target: address(ip[16:20]), protocol: ip[9],
		first: word(ip, 6)%0x2000 == 0, offset: int(word(ip, 6)%0x2000) * 8, fragment: word(ip, 6)%0x4000 != 0, whole: ip[6]&0x40 != 0,
		from: -1, to: -1,
	}
	if !p.first {
		return p, true
	}
	return p, p.readTransport()
}

func (p *packet) readTransport() bool {
	s := p.segment
	switch p.protocol {
	case tcp:
		if len(s) < 20 || s[12]/16 < 5 || int(s[12]/16)*4 > len(s) {
			return false
		}
	case udp: // a first fragment has the length of the whole datagram
		if len(s) < 8 || word(s, 4) < 8 || int(word(s, 4)) > len(s) && !p.fragment {
			return false
		}
	case p.icmp():
		return len(s) >= 8
	default:
		return true
	}
	p.from, p.to = int(word(s, 0)), int(word(s, 2))
	return true
}

func (p packet) isDHCP() bool {
	if p.six {
		return p.protocol == udp && (p.to == 546 || p.to == 547 || p.from == 546 || p.from == 547)
	}
	return p.protocol == udp && (p.to == 67 || p.to == 68 || p.from == 67 || p.from == 68)
}

// isConnect reports whether the packet opens a TCP connection.
func (p packet) isConnect() bool { return p.protocol == tcp && p.first && p.segment[13]&0x12 == 0x02 }

// isError reports whether the packet is an ICMP error: unreachable, redirect, time exceeded, parameter problem.
func (p packet) isError() bool {
	if p.protocol != p.icmp() || !p.first {
		return false
	}
	if p.six {
		return p.segment[0] < 128
	}
	switch p.segment[0] {
	case 3, 5, 11, 12:
		return true
	}
	return false
}

func (p packet) isEcho() bool {
	if p.six {
		return p.protocol == icmp6 && p.first && p.segment[0] == 128
	}
	return p.protocol == icmp && p.first && p.segment[0] == 8
}

// quoted returns the packet that an ICMP error quotes. It reports false if the quote does not contain the ports.
func (p packet) quoted() (quoted packet, ok bool) {
	if p.six && p.isError() {
		return p.quoted6()
	}
	if !p.isError() || len(p.segment) < 8+20 {
		return packet{}, false
	}
	q := p.segment[8:]
	header := int(q[0]%16) * 4
	if header < 20 || len(q) < header+4 {
		return packet{}, false
	}
	return packet{first: word(q, 6)%0x2000 == 0, protocol: q[9], source: address(q[12:16]), target: address(q[16:20]), from: int(word(q, header)), to: int(word(q, header+2))}, true
}

// isSourceRouted reports whether the packet has a source route option (loose 131, strict 137) or malformed options.
func (p packet) isSourceRouted() bool {
	if p.six {
		return p.routed
	}
	for o := p.header[20:]; len(o) > 0 && o[0] != 0; {
		if o[0] == 1 {
			o = o[1:]
			continue
		}
		if o[0] == 131 || o[0] == 137 || len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return true
		}
		o = o[o[1]:]
	}
	return false
}

func isGroupIP(a netip.Addr) bool { return a.IsMulticast() }

// isMartian reports whether an address is in "this network" or loopback.
// In IPv6 these are ::/64 and the groups ff?0::/16 and ff?1::/16.
func isMartian(a netip.Addr) bool {
	if a.Is6() {
		b := a.As16()
		return netip.PrefixFrom(netip.IPv6Unspecified(), 64).Contains(netip.AddrFrom16(b)) || b[0] == 0xff && b[1]%16 < 2
	}
	first := a.As4()[0]
	return first == 0 || first == 127
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
