package vswitch_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/podswitch/podswitch/vswitch"
)

// An ip6Spec has what an IPv6 packet has and an IPv4 packet does not.
type ip6Spec struct {
	source, target [16]byte
	class, flow    int
	first          byte   // type of the first extension header
	extensions     []byte // with a 0 as the type of the header behind the last one, at last
	last           int
}

// packet6 reads: IP > IP [class N] [flow N] [hops N] [version N] [plen N] [ext TYPE HEX]... [frag BYTES [more] [id N]] and then one of tcp, udp,
// icmp6, proto.
func (w *words) packet6() *ipSpec {
	p := &ipSpec{ttl: 64, version: -1, total: -1, sumAt: -1, transportSum: -1, six: &ip6Spec{last: -1}}
	p.six.source = w.anyIP().As16()
	w.expect(">")
	p.six.target = w.anyIP().As16()
	for w.headerWord6(p) {
	}
	switch {
	case w.accept("tcp"):
		w.tcp(p)
	case w.accept("udp"):
		w.udp(p)
	case w.accept("icmp6"):
		w.icmp6(p)
	case w.accept("proto"):
		p.proto = w.number("a protocol", 255)
	default:
		w.fail("unknown word %q, want tcp, udp, icmp6 or proto", w.peek())
	}
	for w.payloadWord(p) {
	}
	return p
}

func (w *words) headerWord6(p *ipSpec) bool {
	for word, field := range map[string]*int{"class": &p.six.class, "flow": &p.six.flow, "hops": &p.ttl, "version": &p.version, "plen": &p.total} {
		if w.accept(word) {
			*field = w.number(word, 0xfffff)
			p.hops = p.hops || word == "hops"
			return true
		}
	}
	switch {
	case w.accept("ext"):
		kind := byte(w.number("a type", 255))
		content := w.hex("the content of an extension header")
		header := append([]byte{0, byte((len(content)+2)/8 - 1)}, content...)
		p.six.add(kind, append(header, make([]byte, (8-len(header)%8)%8)...))
	case w.accept("frag"):
		field := w.number("an offset", 0xfff8)
		if w.accept("more") {
			field |= 1
		}
		header := make([]byte, 8)
		binary.BigEndian.PutUint16(header[2:], uint16(field))
		if w.accept("id") {
			binary.BigEndian.PutUint32(header[4:], uint32(w.number("an id", 1<<32-1)))
		}
		p.six.add(44, header)
	default:
		return false
	}
	return true
}

func (s *ip6Spec) add(kind byte, header []byte) {
	if s.last < 0 {
		s.first = kind
	} else {
		s.extensions[s.last] = kind
	}
	s.last = len(s.extensions)
	s.extensions = append(s.extensions, header...)
}

var icmp6Kinds = map[string][2]byte{"echo": {128, 0}, "echo-reply": {129, 0}, "no-route": {1, 0}, "prohibited": {1, 1}, "address-unreachable": {1, 3},
	"port-unreachable": {1, 4}, "too-big": {2, 0}, "time-exceeded": {3, 0}, "parameter": {4, 0}, "mld-query": {130, 0}, "mld-report": {143, 0},
	"rs": {133, 0}, "ra": {134, 0}, "ns": {135, 0}, "na": {136, 0}, "redirect": {137, 0}}

// icmp6 reads: KIND [mtu N] [about ip6 ... [csum]], or type N code N, or a message of neighbour discovery.
func (w *words) icmp6(p *ipSpec) {
	p.proto, p.sumAt, p.pseudo = 58, 2, true
	word := w.next("an ICMPv6 message")
	kind, ok := icmp6Kinds[word]
	if word == "type" {
		kind[0] = byte(w.number("an ICMPv6 type", 255))
		w.expect("code")
		kind[1] = byte(w.number("an ICMPv6 code", 255))
	} else if !ok {
		w.fail("unknown word %q, want an ICMPv6 message", word)
	}
	p.header = append(p.header, kind[0], kind[1], 0, 0, 0, 0, 0, 0)
	if word != "type" && kind[0] >= 133 && kind[0] <= 137 {
		w.discovery(p, kind[0])
		return
	}
	if w.accept("mtu") {
		binary.BigEndian.PutUint32(p.header[4:], uint32(w.number("an MTU", 1<<32-1)))
	}
	if !w.accept("about") {
		return
	}
	w.expect("ip6")
	about := w.packet6()
	if w.err != nil {
		return
	}
	quote := about.encode(w.accept("csum"))
	p.payload = quote[:min(len(quote), 1280-48)]
}

// discovery reads: [TARGET] [router] [solicited] [override] [link MAC]. The message ra is the advertisement of scripts.
func (w *words) discovery(p *ipSpec, kind byte) {
	if !p.hops {
		p.ttl = 255
	}
	if kind == 134 {
		p.header = append([]byte{}, scriptAdvertisement...)
		return
	}
	if kind != 133 {
		target := w.anyIP().As16()
		p.header = append(p.header, target[:]...)
	}
	for i, word := range []string{"router", "solicited", "override"} {
		if w.accept(word) {
			p.header[4] |= 0x80 >> i
		}
	}
	if w.accept("link") {
		option, mac := byte(1), w.mac()
		if kind == 136 {
			option = 2
		}
		p.payload = append([]byte{option, 1}, mac[:]...)
	}
}

// scriptAdvertisement is a router advertisement with a hop limit of 64, the flags M and O, and a lifetime of 1800 s.
var scriptAdvertisement = []byte{134, 0, 0, 0, 64, 0xc0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}

func (p *ipSpec) encode6(partial bool) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(or(p.version, 6)<<28|p.six.class<<20|p.six.flow))
	b = binary.BigEndian.AppendUint16(b, uint16(or(p.total, len(p.six.extensions)+len(p.header)+len(p.payload))))
	next := byte(p.proto)
	if p.six.last >= 0 {
		p.six.extensions[p.six.last], next = next, p.six.first
	}
	b = append(b, next, byte(p.ttl))
	b = append(append(b, p.six.source[:]...), p.six.target[:]...)
	b = append(b, p.six.extensions...)
	at := len(b)
	b = append(append(b, p.header...), p.payload...)
	p.putSum(b[at:], partial)
	return b
}

// anyIP reads an address of either family.
func (w *words) anyIP() netip.Addr {
	word := w.next("an IP address")
	a, err := netip.ParseAddr(word)
	if w.err == nil && err != nil {
		w.fail("%q is no IP address", word)
	}
	if !a.IsValid() {
		return netip.IPv6Unspecified()
	}
	return a
}

// defaultIPv6 gives the pod an IPv6 address beside the IPv4 address, or instead of it.
func (s *script) defaultIPv6(w *words) {
	d := &s.delegate
	if w.accept("only") {
		d.Address, d.Gateway, d.Server, d.Routes = netip.Prefix{}, netip.Addr{}, netip.Addr{}, nil
	}
	d.AddressIPv6 = netip.MustParsePrefix("fd00:10:244:1::7/64")
	d.Routes = append(d.Routes, vswitch.Route{Destination: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fd00:10:244:1::1")},
		vswitch.Route{Destination: netip.MustParsePrefix("fd00:10:244:1::/64")})
}

// ip6Words describes an IPv6 packet and returns its length in bytes.
func ip6Words(b []byte, names map[string]vswitch.MAC) (line []string, length int) {
	address := func(b []byte) string { return netip.AddrFrom16([16]byte(b)).String() }
	line = []string{address(b[8:24]), ">", address(b[24:40])}
	add := func(word string, value, usual int) {
		if value != usual {
			line = append(line, word, fmt.Sprint(value))
		}
	}
	length = 40 + int(binary.BigEndian.Uint16(b[4:]))
	if length > len(b) {
		return append(line, "..."), 0
	}
	word := int(binary.BigEndian.Uint32(b))
	add("class", word>>20&0xff, 0)
	add("flow", word&0xfffff, 0)
	next, at, later := b[6], 40, false
	usual := 64
	if next == 58 && length > 40 && b[40] >= 133 && b[40] <= 137 {
		usual = 255
	}
	add("hops", int(b[7]), usual)
	for !later && length >= at+8 && (next == 0 || next == 43 || next == 44 || next == 60) {
		kind, size := next, 8*int(b[at+1])+8
		if kind == 44 {
			size, later = 8, binary.BigEndian.Uint16(b[at+2:])>>3 != 0
			line = append(line, "frag", fmt.Sprint(binary.BigEndian.Uint16(b[at+2:])&^7))
			if b[at+3]&1 != 0 {
				line = append(line, "more")
			}
			add("id", int(binary.BigEndian.Uint32(b[at+4:])), 0)
		} else if at+size <= length {
			line = append(line, "ext", fmt.Sprint(kind), fmt.Sprintf("%x", b[at+2:at+size]))
		}
		next, at = b[at], at+size
	}
	if at > length {
		return append(line, "..."), 0
	}
	segment := b[at:length]
	if next == 58 && len(segment) >= 8 && !later {
		return append(line, icmp6Words(segment, names)...), length
	}
	proto := next
	if later || next == 1 {
		proto = 0xff
	}
	return append(line, transportWords(segment, proto, int(next), false)...), length
}

func icmp6Words(b []byte, names map[string]vswitch.MAC) []string {
	line := []string{"icmp6", "type", fmt.Sprint(b[0]), "code", fmt.Sprint(b[1])}
	for name, kind := range icmp6Kinds {
		if kind == [2]byte(b) {
			line = []string{"icmp6", name}
		}
	}
	switch kind := b[0]; {
	case kind == 134:
		return line
	case kind < 133 || kind > 137:
		if mtu := binary.BigEndian.Uint32(b[4:]); mtu != 0 {
			line = append(line, "mtu", fmt.Sprint(mtu))
		}
		return append(line, dataWords(b[8:])...)
	case kind != 133 && len(b) >= 24:
		line = append(line, netip.AddrFrom16([16]byte(b[8:24])).String())
		for i, flag := range []string{"router", "solicited", "override"} {
			if b[4]&(0x80>>i) != 0 {
				line = append(line, flag)
			}
		}
		b = b[16:]
	}
	if len(b) == 16 {
		line = append(line, "link", macWord(b[10:16], names))
	}
	return line
}
