package oracle

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

const icmp6 = 58

func (p packet) icmp() byte {
	if p.six {
		return icmp6
	}
	return icmp
}

func address6(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b[:16])) }

// readPacket6 reads an IPv6 packet with its extension headers. It reports false for wrong lengths, a jumbogram, more than eight extension
// headers, and a first fragment that does not contain all headers.
func readPacket6(frame []byte) (packet, bool) {
	l, ok := readLayers(frame)
	if !ok || l.end == 0 {
		return packet{}, false
	}
	ip := frame[ethernetHeader:]
	p := packet{
		header: frame[ethernetHeader:l.transport], segment: frame[l.transport:l.end], source: address6(ip[8:]), target: address6(ip[24:]),
		protocol: l.protocol, offset: l.offset, first: l.offset == 0, fragment: l.fragment, whole: true, from: -1, to: -1, six: true, routed: l.routed,
	}
	return p, !p.first || p.readTransport()
}

// quoted6 is quoted for IPv6.
func (p packet) quoted6() (quoted packet, ok bool) {
	q := p.segment[8:]
	l, ok := readIPv6Layers(layers{}, q)
	if !ok || len(q) < l.transport+4 {
		return packet{}, false
	}
	return packet{first: l.offset == 0, protocol: l.protocol, source: address6(q[8:]), target: address6(q[24:]),
		from: int(word(q, l.transport)), to: int(word(q, l.transport+2)), six: true}, true
}

// isToServer reports whether a DHCP packet is of a client, to all servers or to this one.
func (p packet) isToServer(server netip.Addr) bool {
	if p.six {
		return p.to == 547 && (p.target == netip.MustParseAddr("ff02::1:2") || p.target == server)
	}
	return p.to == 67 && (p.target == limitedBroadcast || p.target == server)
}

// isOfLink reports whether the packet is ICMPv6 that does not leave its link: multicast listeners and routers, neighbours, routers.
func (p packet) isOfLink() bool {
	if !p.six || p.protocol != icmp6 || !p.first {
		return false
	}
	switch p.segment[0] {
	case 130, 131, 132, 133, 134, 135, 136, 137, 141, 142, 143, 148, 149, 151, 152, 153:
		return true
	}
	return false
}

// ofLink returns MLD for messages of listeners, and otherwise the reason.
func (p packet) ofLink(other vswitch.Reason) vswitch.Reason {
	switch p.segment[0] {
	case 130, 131, 132, 143, 151, 152, 153:
		return vswitch.MLD
	}
	return other
}

// A message is one of neighbour discovery.
type message struct {
	kind   byte // 133, 135 or 136
	flags  byte
	target netip.Addr  // the zero Addr in a router solicitation
	link   vswitch.MAC // of the option; the zero MAC: none
}

// readMessage reads a message of neighbour discovery. It reports false for one that RFC 4861 tells to ignore.
func readMessage(f vswitch.Frame, p packet) (m message, ok bool) {
	ip, s := f.Data[ethernetHeader:], p.segment
	if f.Offload.Flags&needsChecksum != 0 {
		l, _ := readLayers(f.Data)
		done := completed(f.Data, l, int(f.Offload.CsumStart), int(f.Offload.CsumOffset))
		ip, s = done[ethernetHeader:], done[l.transport:l.end]
	}
	pseudo := append(append([]byte{}, ip[8:40]...), 0, 0, byte(len(s)>>8), byte(len(s)), 0, 0, 0, icmp6)
	if len(p.header) != 40 || ip[7] != 255 || s[1] != 0 || onesSum(append(pseudo, s...)) != 0xffff {
		return m, false
	}
	m.kind = s[0]
	rest := s[8:]
	if m.kind != 133 {
		if len(s) < 24 || s[8] == 0xff {
			return m, false
		}
		m.target, rest = address6(s[8:]), s[24:]
	}
	option := byte(1)
	if m.kind == 136 {
		option, m.flags = 2, s[4]
	}
	if m.link, ok = readLink(rest, option); !ok {
		return m, false
	}
	switch {
	case m.kind == 136:
		return m, !p.target.IsMulticast() || m.flags&0x40 == 0
	case !p.source.IsUnspecified():
		return m, true
	case m.kind == 133:
		return m, isNobody(m.link)
	}
	return m, isNobody(m.link) && netip.MustParsePrefix("ff02::1:ff00:0/104").Contains(p.target)
}

// readLink returns the address of the last option of a kind. It reports false if an option has no length or exceeds the message.
func readLink(options []byte, kind byte) (link vswitch.MAC, ok bool) {
	for len(options) > 0 {
		if len(options) < 2 || options[1] == 0 || len(options) < 8*int(options[1]) {
			return link, false
		}
		if options[0] == kind && options[1] == 1 {
			link = vswitch.MAC(options[2:8])
		}
		options = options[8*int(options[1]):]
	}
	return link, true
}

// linkFromGuest answers the guest's questions, but none about its own addresses.
func (c *call) linkFromGuest(f vswitch.Frame, p packet) {
	if t := p.segment[0]; t != 133 && t != 135 && t != 136 {
		c.refuse(p.ofLink(vswitch.OwnND))
		return
	}
	m, ok := readMessage(f, p)
	if !ok {
		c.refuse(vswitch.BadND)
		return
	}
	from := source(f.Data)
	if p.source == c.self || m.kind == 136 && m.target == c.self && (isNobody(m.link) || m.link == from) {
		c.use(from, true)
	}
	isDetection := p.source.IsUnspecified() && m.target != c.server
	switch {
	case m.kind == 133 && c.cfg.Advertisement != nil:
		c.sendAdvertisement(from, p.source)
	case m.kind != 135, isDetection, m.target == c.self, m.target == p.source:
		c.refuse(vswitch.OwnND)
	default:
		c.answer(vswitch.PortGuest, m, from, p.source, c.cfg.RouterMAC, 0x80)
	}
}

// linkFromWire answers questions for the pod address, and learns from answers.
func (c *call) linkFromWire(f vswitch.Frame, p packet) {
	if t := p.segment[0]; t != 133 && t != 135 && t != 136 {
		c.refuse(p.ofLink(vswitch.ForeignND))
		return
	}
	m, ok := readMessage(f, p)
	switch {
	case !ok:
		c.refuse(vswitch.BadND)
	case c.cfg.NoARP, m.kind == 133, m.kind == 135 && (m.target != c.self || p.source == c.self), m.kind == 136 && m.target == c.self,
		!p.source.IsUnspecified() && (isMartian(p.source) || isGroupIP(p.source)):
		c.refuse(vswitch.ForeignND)
	case m.kind == 135 && c.holder == vswitch.HolderKernel:
		c.refuse(vswitch.NotHolder)
	case m.kind == 135:
		if !isNobody(m.link) {
			c.learn(claim{ip: p.source, mac: m.link, asks: c.isOnLink(p.source), changes: true})
		}
		c.answer(vswitch.PortUplink, m, source(f.Data), p.source, c.cfg.WireMAC, 0)
	case isNobody(m.link) && m.flags&0x40 == 0, !c.learn(claim{ip: m.target, mac: m.link, changes: m.flags&0x20 != 0}):
		c.refuse(vswitch.ForeignND)
	default:
		c.Noted++
	}
}

// answer sends an advertisement for a target, to all nodes if the asker has no address.
func (c *call) answer(port int, m message, to vswitch.MAC, asker netip.Addr, mac vswitch.MAC, flags byte) {
	flags |= 0x60
	if isStation(m.link) {
		to = m.link
	}
	if asker.IsUnspecified() {
		asker, to, flags = netip.MustParseAddr("ff02::1"), vswitch.MAC{0x33, 0x33, 0, 0, 0, 1}, flags-0x40
	}
	body := append(append([]byte{136, 0, 0, 0, flags, 0, 0, 0}, m.target.AsSlice()...), 2, 1)
	data := frame(to, mac, typeIPv6, packet6(m.target, asker, 255, append(body, mac[:]...)))
	if !c.reserve(len(data)) {
		c.refuse(vswitch.NoBuffer)
		return
	}
	c.send(port, vswitch.Frame{Data: data})
}

// packet6 returns an IPv6 packet with an ICMPv6 message, whose checksum it computes.
func packet6(from, to netip.Addr, hops byte, body []byte) []byte {
	addresses := append(append([]byte{}, from.AsSlice()...), to.AsSlice()...)
	pseudo := append(append([]byte{}, addresses...), 0, 0, byte(len(body)>>8), byte(len(body)), 0, 0, 0, icmp6)
	sum := checksum(append(pseudo, body...))
	if sum == 0 {
		sum = 0xffff
	}
	body = append([]byte{}, body...)
	binary.BigEndian.PutUint16(body[2:], sum)
	return append(append([]byte{0x60, 0, 0, 0, byte(len(body) >> 8), byte(len(body)), icmp6, hops}, addresses...), body...)
}

// solicit asks a next hop for its MAC: by multicast to its group, or by unicast.
func (c *call) solicit(hop netip.Addr, to vswitch.MAC, q *question) {
	target := hop
	if to == (vswitch.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) {
		b := hop.As16()
		target = netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
		to = groupMAC(target)
	}
	body := append(append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, hop.AsSlice()...), 1, 1)
	data := frame(to, c.cfg.WireMAC, typeIPv6, packet6(c.self, target, 255, append(body, c.cfg.WireMAC[:]...)))
	if !c.reserve(len(data)) {
		return
	}
	q.tries++
	c.Made++
	c.send(vswitch.PortUplink, vswitch.Frame{Data: data})
}

// sendAdvertisement sends a router advertisement to a guest, or to all nodes if it has no address.
func (c *call) sendAdvertisement(to vswitch.MAC, asker netip.Addr) {
	if asker.IsUnspecified() {
		asker, to = netip.MustParseAddr("ff02::1"), vswitch.MAC{0x33, 0x33, 0, 0, 0, 1}
	}
	data := frame(to, c.cfg.RouterMAC, typeIPv6, packet6(c.server, asker, 255, c.cfg.Advertisement))
	if !c.reserve(len(data)) {
		c.refuse(vswitch.NoBuffer)
		return
	}
	c.send(vswitch.PortGuest, vswitch.Frame{Data: data})
}

// advertise sends a router advertisement with the first tick, and every 400 seconds.
func (c *call) advertise() {
	if last := c.d.advertised; c.six && c.cfg.Advertisement != nil && (last == nil || c.now-*last >= 400*time.Second) {
		now := c.now
		c.d.advertised = &now
		c.Made++
		c.sendAdvertisement(vswitch.MAC{}, netip.IPv6Unspecified())
	}
}

// sendError6 sends an ICMPv6 error with as much of the packet as fits into 1280 bytes, unless RFC 4443, section 2.4, forbids it. The code is
// that of IPv4.
func (c *call) sendError6(f vswitch.Frame, p packet, code byte, mtu int) {
	if !p.first || p.isError() || p.target.IsMulticast() && code != 4 {
		return
	}
	if code != 4 {
		if c.d.errors++; c.d.errors > 1000 {
			return
		}
	}
	body := map[byte][]byte{0: {1, 0}, 1: {1, 3}, 4: {2, 0}, 13: {1, 1}}[code]
	if code == 4 {
		mtu = max(mtu, 1280)
	}
	body = binary.BigEndian.AppendUint32(append(append([]byte{}, body...), 0, 0), uint32(mtu))
	quote := append(append([]byte{}, p.header...), p.segment...)
	body = append(body, quote[:min(len(quote), 1280-48)]...)
	data := frame(source(f.Data), c.cfg.RouterMAC, typeIPv6, packet6(c.router, p.source, 64, body))
	if !c.reserve(len(data)) {
		c.NoRoom = append(c.NoRoom, Sent{c.in, vswitch.Frame{Data: data}})
		return
	}
	c.Made++
	c.send(c.in, vswitch.Frame{Data: data})
}
