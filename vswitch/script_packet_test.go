package vswitch_test

import "encoding/binary"

// maxQuote is the largest number of bytes behind the IP header that "about" quotes: an ICMP error of 576 bytes has room for them behind a
// header of 60 bytes (RFC 1812, section 4.3.2.3).
const maxQuote = 576 - 20 - 8 - 60

// packet reads an IPv4 packet with its payload.
func (w *words) packet() *ipSpec {
	p := &ipSpec{ttl: 64, version: -1, ihl: -1, total: -1, sum: -1, sumAt: -1, transportSum: -1}
	p.source = w.ip().As4()
	w.expect(">")
	p.target = w.ip().As4()
	for w.headerWord(p) {
	}
	switch {
	case w.accept("tcp"):
		w.tcp(p)
	case w.accept("udp"):
		w.udp(p)
	case w.accept("icmp"):
		w.icmp(p)
	case w.accept("proto"):
		p.proto = w.number("a protocol", 255)
	default:
		w.fail("unknown word %q, want tcp, udp, icmp or proto", w.peek())
	}
	for w.payloadWord(p) {
	}
	return p
}

func (w *words) headerWord(p *ipSpec) bool {
	for word, field := range map[string]*int{"tos": &p.tos, "id": &p.id, "ttl": &p.ttl, "version": &p.version, "ihl": &p.ihl,
		"total": &p.total, "sum": &p.sum, "offset": &p.offset} {
		if w.accept(word) {
			*field = w.number(word, 0xffff)
			return true
		}
	}
	switch {
	case w.accept("df"):
		p.flags |= 0x4000
	case w.accept("more"):
		p.flags |= 0x2000
	case w.accept("options"):
		p.options = w.hex("options")
	default:
		return false
	}
	return true
}

// payloadWord reads: data N [from M] | payload HEX | sum N.
func (w *words) payloadWord(p *ipSpec) bool {
	switch {
	case w.accept("data"):
		n, from := w.number("a length", 0xffff), 0
		if w.accept("from") {
			from = w.number("where the pattern starts", 0xffff)
		}
		for i := range n {
			p.payload = append(p.payload, byte(from+i))
		}
	case w.accept("payload"):
		p.payload = append(p.payload, w.hex("a payload")...)
	case w.accept("sum"):
		p.transportSum = w.number("a checksum", 0xffff)
	default:
		return false
	}
	return true
}

func (w *words) ports(p *ipSpec) {
	source := w.number("a source port", 0xffff)
	w.expect(">")
	target := w.number("a destination port", 0xffff)
	p.header = binary.BigEndian.AppendUint16(p.header, uint16(source))
	p.header = binary.BigEndian.AppendUint16(p.header, uint16(target))
}

// tcp reads: S > D [syn|ack|fin|psh|rst|cwr]... [seq N] [mss N|tcpopt HEX]... [doff N].
func (w *words) tcp(p *ipSpec) {
	p.proto, p.sumAt, p.pseudo = 6, 16, true
	w.ports(p)
	p.header = append(p.header, make([]byte, 16)...)
	doff := -1
	flags := map[string]byte{"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "cwr": 128}
	for more := true; more; {
		if flag, ok := flags[w.peek()]; ok {
			w.accept(w.peek())
			p.header[13] |= flag
			continue
		}
		switch {
		case w.accept("seq"):
			binary.BigEndian.PutUint32(p.header[4:], uint32(w.number("a sequence number", 1<<32-1)))
		case w.accept("mss"):
			p.header = binary.BigEndian.AppendUint16(append(p.header, 2, 4), uint16(w.number("an MSS", 0xffff)))
		case w.accept("tcpopt"):
			p.header = append(p.header, w.hex("TCP options")...)
		case w.accept("doff"):
			doff = w.number("a data offset", 15)
		default:
			more = false
		}
	}
	for len(p.header)%4 != 0 {
		p.header = append(p.header, 0)
	}
	if doff < 0 {
		doff = len(p.header) / 4
	}
	p.header[12] = byte(doff << 4)
}

// udp reads: S > D [ulen N].
func (w *words) udp(p *ipSpec) {
	p.proto, p.sumAt, p.pseudo = 17, 6, true
	w.ports(p)
	length := 0
	if w.accept("ulen") {
		length = w.number("a UDP length", 0xffff)
		p.header = binary.BigEndian.AppendUint16(p.header, uint16(length))
	}
	for w.payloadWord(p) {
	}
	if len(p.header) == 4 {
		p.header = binary.BigEndian.AppendUint16(p.header, uint16(8+len(p.payload)))
	}
	p.header = append(p.header, 0, 0)
}

// icmp reads: KIND [mtu N] [about ip ...], or type N code N.
func (w *words) icmp(p *ipSpec) {
	p.proto, p.sumAt = 1, 2
	kinds := map[string][2]byte{"echo": {8, 0}, "echo-reply": {0, 0}, "net-unreachable": {3, 0}, "host-unreachable": {3, 1},
		"port-unreachable": {3, 3}, "frag-needed": {3, 4}, "redirect": {5, 0}, "time-exceeded": {11, 0}, "parameter": {12, 0}}
	word := w.next("an ICMP message")
	kind, ok := kinds[word]
	if word == "type" {
		kind[0] = byte(w.number("an ICMP type", 255))
		w.expect("code")
		kind[1] = byte(w.number("an ICMP code", 255))
	} else if !ok {
		w.fail("unknown word %q, want an ICMP message", word)
	}
	p.header = append(p.header, kind[0], kind[1], 0, 0, 0, 0, 0, 0)
	if w.accept("mtu") {
		binary.BigEndian.PutUint16(p.header[6:], uint16(w.number("an MTU", 0xffff)))
	}
	if !w.accept("about") {
		return
	}
	w.expect("ip")
	about := w.packet()
	if w.err != nil {
		return
	}
	quote := about.encode(w.accept("csum"))
	p.payload = quote[:min(len(quote), about.headerLen()+maxQuote)]
}

func (p *ipSpec) headerLen() int {
	if p.six != nil {
		return 40 + len(p.six.extensions)
	}
	return 20 + (len(p.options)+3)/4*4
}

// encode returns the bytes of the packet. If partial is true, the transport checksum is only the sum of the pseudo-header.
func (p *ipSpec) encode(partial bool) []byte {
	if p.six != nil {
		return p.encode6(partial)
	}
	headerLen := p.headerLen()
	b := make([]byte, headerLen, headerLen+len(p.header)+len(p.payload))
	copy(b[20:], p.options)
	b = append(append(b, p.header...), p.payload...)
	b[0] = byte(or(p.version, 4)<<4 | or(p.ihl, headerLen/4)&0xf)
	b[1] = byte(p.tos)
	binary.BigEndian.PutUint16(b[2:], uint16(or(p.total, len(b))))
	binary.BigEndian.PutUint16(b[4:], uint16(p.id))
	binary.BigEndian.PutUint16(b[6:], uint16(p.flags|p.offset/8))
	b[8], b[9] = byte(p.ttl), byte(p.proto)
	copy(b[12:], p.source[:])
	copy(b[16:], p.target[:])
	binary.BigEndian.PutUint16(b[10:], uint16(or(p.sum, int(^slowSum(b[:headerLen])))))
	p.putSum(b[headerLen:], partial)
	return b
}

// putSum writes the transport checksum.
func (p *ipSpec) putSum(segment []byte, partial bool) {
	if p.sumAt < 0 {
		return
	}
	sum := p.pseudoSum(len(segment))
	if !partial {
		sum = ^slowSum(append(segment[:len(segment):len(segment)], make([]byte, len(segment)%2)...), sum)
		if sum == 0 && p.proto == 17 {
			sum = 0xffff
		}
	}
	binary.BigEndian.PutUint16(segment[p.sumAt:], uint16(or(p.transportSum, int(sum))))
}

func (p *ipSpec) pseudoSum(length int) uint16 {
	if !p.pseudo {
		return 0
	}
	if p.six != nil {
		head := []byte{0, byte(p.proto), byte(length >> 8), byte(length)}
		return slowSum(append(append(head, p.six.source[:]...), p.six.target[:]...))
	}
	return slowSum(append(append([]byte{0, byte(p.proto), byte(length >> 8), byte(length)}, p.source[:]...), p.target[:]...))
}

// slowSum adds 16-bit words one by one (RFC 1071); b has an even length.
func slowSum(b []byte, initial ...uint16) uint16 {
	sum := 0
	for _, n := range initial {
		sum += int(n)
	}
	for i := 0; i < len(b); i += 2 {
		sum += int(b[i])<<8 | int(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// or returns the value that the script sets, or the correct one.
func or(set, right int) int {
	if set >= 0 {
		return set
	}
	return right
}
