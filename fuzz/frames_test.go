package fuzz

import (
	"encoding/binary"
	"net/netip"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// makeFrame reads the parts of a frame: addresses, tags, content, faults, and the offload header. If the input ends or is zero, the frame is a
// common one for the port.
func makeFrame(r *reader, w world, port int) vswitch.Frame {
	from, to := w.macs(port)
	source := r.mac(from...)
	destination := r.mac(to...)
	b := append(append([]byte{}, destination[:]...), source[:]...)
	for range choose(r, 0, 0, 0, 0, 0, 0, 1, 2, 3) {
		b = binary.BigEndian.AppendUint16(b, choose[uint16](r, 0x8100, 0x88a8))
		b = binary.BigEndian.AppendUint16(b, uint16(r.word()))
	}
	var l place
	switch choose(r, 4, 4, 4, 4, 4, 1, 1, 6, 0, 7) {
	case 4:
		b, l = makeIPv4(r, w, port, append(b, 8, 0))
	case 1:
		b = makeARP(r, w, port, source, append(b, 8, 6))
	case 6:
		b, l = makeIPv6(r, w, port, append(b, 0x86, 0xdd))
	case 7:
		b, l = makeICMPv6(r, w, port, source, append(b, 0x86, 0xdd))
	default:
		ethertype := choose(r, 0x88cc, 0x8035, 4, 1500, 0x8863, 0xffff)
		b = append(binary.BigEndian.AppendUint16(b, uint16(ethertype)), r.bytes(r.byte()%64)...)
	}
	f := vswitch.Frame{Data: spoil(r, b)}
	f.Offload = makeOffload(r, l)
	if r.byte()%16 != 15 {
		putHeaderSum(f.Data)
	}
	return f
}

// place has the offset of a transport header, and the offset of its checksum within it.
type place struct{ start, offset, protocol int }

func makeARP(r *reader, w world, port int, source vswitch.MAC, b []byte) []byte {
	from, to := w.ips(port)
	macs, _ := w.macs(port)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, choose[byte](r, 1, 1, 1, 2, 2, 3))
	sender := source
	if r.byte()%4 == 3 {
		sender = r.mac(macs...)
	}
	b = append(b, sender[:]...)
	b = append(b, r.ip(from...).AsSlice()...)
	_, known := w.macs(port)
	target := r.mac(append([]vswitch.MAC{{}}, known...)...)
	b = append(b, target[:]...)
	b = append(b, r.ip(to...).AsSlice()...)
	return append(b, make([]byte, choose(r, 0, 18, 1))...)
}

// makeIPv4 makes a packet with correct lengths; spoil changes them.
func makeIPv4(r *reader, w world, port int, b []byte) ([]byte, place) {
	from, to := w.ips(port)
	source, target := r.ip(from...), r.ip(to...)
	options := choose(r, "", "", "", "", "\x94\x04\x00\x00", "\x01\x01\x01\x00", "\x83\x07\x04\x0a\x00\x00\x01\x00", "\x07\xff\x00\x00",
		"\x94\x04\x00\x00\x07\x04\x04\x00", "\x01\x89\x03\x04")
	flags := choose(r, 0, 0, 0x4000, 0x4000, 0x2000, 0x2001, 0x0010, 0x00b2, 0x8000, 0x1fff)
	protocol := choose(r, 17, 6, 1, 17, 6, 1, 132, 2, 4, 255)
	transport := makeTransport(r, w, port, protocol)
	transport = append(transport, make([]byte, payload(r))...)
	if protocol == 17 && len(transport) >= 8 {
		binary.BigEndian.PutUint16(transport[4:], uint16(len(transport)))
	}
	start := len(b) + 20 + len(options)
	header := 20 + len(options)
	b = append(b, byte(0x40|header/4), byte(r.byte()))
	b = binary.BigEndian.AppendUint16(b, uint16(min(header+len(transport), 65535)))
	b = binary.BigEndian.AppendUint16(b, uint16(r.byte()))
	b = binary.BigEndian.AppendUint16(b, uint16(flags))
	b = append(b, 64, byte(protocol), 0, 0)
	b = append(append(b, source.AsSlice()...), target.AsSlice()...)
	b = append(append(b, options...), transport...)
	return b, place{start, map[int]int{6: 16, 17: 6, 1: 2, 132: 8}[protocol], protocol}
}

// payload returns a payload with a length near one at which the behaviour changes.
func payload(r *reader) int {
	n := choose(r, 0, 1, 8, 28, 40, 100, 488, 1400, 1410, 1422, 1430, 1472, 2000, 9000, 30000, 65400)
	return max(0, n+r.byte()%8-r.byte()%8)
}

func makeTransport(r *reader, w world, port, protocol int) []byte {
	switch protocol {
	case 6:
		return makeTCP(r)
	case 17:
		return ports(r, nil, 0, 0, 0, 0)
	case 1:
		return makeICMP(r, w, port)
	}
	return []byte{}
}

// ports appends two port numbers: of a client, a kept port or a service.
func ports(r *reader, b []byte, rest ...byte) []byte {
	for range 2 {
		b = binary.BigEndian.AppendUint16(b, choose[uint16](r, 1000, 2000, 80, 8080, 67, 68, 53, 22, 111, 22623, 0, 65535, 4011))
	}
	return append(b, rest...)
}

func makeTCP(r *reader) []byte {
	b := ports(r, nil, 0, 0, 0, 1, 0, 0, 0, 2)
	options := choose(r, "", "\x02\x04\x05\xb4", "\x02\x04\xff\xff", "\x01\x02\x04\x23\x28\x00\x00\x00", "\x04\x02\x02\x04\x05\xb4\x01\x00",
		"\x02\x04\x02\x18", "\x01\x01\x01\x02", "\x08\xff\x02\x04", "\x02\x03\x05\xb4", "\x02\x00\x05\xb4")
	flags := choose[byte](r, 0x10, 0x02, 0x12, 0x18, 0x11, 0x04, 0xc2)
	b = append(b, byte(20+len(options))<<2, flags, 0x20, 0, byte(r.byte()), byte(r.byte()), 0, 0)
	return append(b, options...)
}

func makeICMP(r *reader, w world, port int) []byte {
	b := []byte{choose[byte](r, 8, 0, 3, 5, 11, 12, 13), choose[byte](r, 0, 1, 3, 4), 0, 0, 0, 0, 5, 0xaa}
	if r.byte()%2 == 0 {
		return b
	}
	from, to := w.ips(port)
	b = append(b, choose[byte](r, 0x45, 0x46, 0x44, 0x4f), 0, 0, 40, 0, 0, choose[byte](r, 0, 0, 0x1f), 0, 64, choose[byte](r, 6, 17, 1), 0, 0)
	b = append(append(b, r.ip(append(to, from...)...).AsSlice()...), r.ip(from...).AsSlice()...)
	return ports(r, b)
}

func makeIPv6(r *reader, w world, port int, b []byte) ([]byte, place) {
	var extensions []byte
	first := choose[byte](r, 6, 17, 58, 0, 43, 44, 51, 60)
	for n := choose(r, 0, 0, 1, 2, 8, 9); n > 0; n-- {
		extensions = append(extensions, choose[byte](r, 6, 17, 0, 44, 51, 60, 59), choose[byte](r, 0, 0, 1), 0, byte(r.byte()), 0, 0, 0, 0)
	}
	body := append(extensions, makeTCP(r)...)
	body = append(body, make([]byte, payload(r))...)
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(min(len(body), 65535)))
	b = append(b, first, 64)
	if w.ips6 == nil {
		b = append(b, make([]byte, 32)...)
	} else {
		from, to := w.ips6(port)
		b = append(append(b, r.ip6(from...)...), r.ip6(to...)...)
	}
	return append(b, body...), place{len(b) + len(extensions), 16, 6}
}

// makeICMPv6 makes a message of neighbour discovery or another one, with a correct checksum in most cases.
func makeICMPv6(r *reader, w world, port int, link vswitch.MAC, b []byte) ([]byte, place) {
	if w.ips6 == nil {
		return b, place{}
	}
	from, to := w.ips6(port)
	source, target := r.ip6(from...), r.ip6(to...)
	body := []byte{choose[byte](r, 135, 136, 133, 128, 1, 2, 3, 130, 143, 134, 137, 129, 151, 141, 64), choose[byte](r, 0, 0, 0, 1), 0, 0, choose[byte](r, 0x60, 0, 0x20, 0x40, 0xe0), 0, 0, 0}
	switch body[0] {
	case 135, 136:
		body = append(body, r.ip6(append(append(to[:len(to):len(to)], from...), to...)...)...)
	case 1, 2, 3:
		body = append(body, 0x60, 0, 0, 0, 0, 40, choose[byte](r, 6, 17, 44, 58, 60), 64)
		body = append(append(body, r.ip6(append(to[:len(to):len(to)], from...)...)...), r.ip6(from...)...)
		body = append(ports(r, body), make([]byte, choose(r, 0, 20, 1400))...)
	}
	for range choose(r, 1, 0, 2) {
		body = append(append(body, choose[byte](r, 2, 1, 14), choose[byte](r, 1, 1, 0, 2)), link[:]...)
	}
	hops := choose[byte](r, 255, 255, 255, 64)
	b = append(b, 0x60, 0, 0, 0, byte(len(body)>>8), byte(len(body)), 58, hops)
	start := len(b) + 32
	if r.byte()%8 != 7 {
		binary.BigEndian.PutUint16(body[2:], vnet.Checksum(body, vnet.PseudoSum(source, target, 58, len(body))))
	}
	return append(append(append(b, source...), target...), body...), place{start, 2, 58}
}

// spoil changes single bytes, truncates the frame, or extends it.
func spoil(r *reader, b []byte) []byte {
	for range choose(r, 0, 0, 0, 1, 2, 3) {
		if at, value := r.word(), byte(r.byte()); len(b) > 0 {
			b[min(at, 14+at%64)%len(b)] = value
		}
	}
	switch choose(r, 0, 0, 0, 0, 1, 2) {
	case 1:
		b = b[:min(len(b), r.byte())]
	case 2:
		b = append(b, make([]byte, choose(r, 1, 4, 26, 46, 1500, 3000))...)
	}
	return b[:min(len(b), vswitch.MaxFrame)]
}

// putHeaderSum makes the checksum of an IPv4 header right, behind at most two tags. It does nothing to other frames.
func putHeaderSum(frame []byte) {
	at := 12
	for range 2 {
		if len(frame) >= at+6 && (frame[at] == 0x81 && frame[at+1] == 0 || frame[at] == 0x88 && frame[at+1] == 0xa8) {
			at += 4
		}
	}
	if at += 2; len(frame) < at+20 || frame[at-2] != 8 || frame[at-1] != 0 {
		return
	}
	header := frame[at:]
	header = header[:min(len(header), max(20, int(header[0]&15)*4))]
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], vnet.Checksum(header, 0))
}

// makeOffload returns the zero header, a header as a kernel sends it, or any header.
func makeOffload(r *reader, l place) vnet.Header {
	h := vnet.Header{Flags: 1, CsumStart: uint16(l.start), CsumOffset: uint16(l.offset)}
	switch choose(r, 0, 0, 0, 1, 2, 3, 4, 5) {
	case 1:
		return vnet.Header{Flags: 2}
	case 2:
		return h
	case 3:
		h.GSOType = map[int]uint8{6: 1, 17: choose[uint8](r, 5, 3)}[l.protocol]
		h.GSOSize = choose[uint16](r, 1400, 1410, 1411, 536, 1, 0, 8, 9000, 65535)
	case 4:
		h.GSOType = choose[uint8](r, 1, 4, 5, 0x81, 0x84, 0x85, 3, 77, 0x80)
		h.GSOSize = uint16(r.word())
		h.HdrLen = uint16(r.word())
		h.CsumStart += uint16(r.byte()) % 8
		h.CsumStart -= uint16(r.byte()) % 8
	case 5:
		return r.header()
	default:
		return none
	}
	return h
}

// addresses parses a list of addresses.
func addresses(text ...string) (list []netip.Addr) {
	for _, t := range text {
		list = append(list, netip.MustParseAddr(t))
	}
	return list
}
