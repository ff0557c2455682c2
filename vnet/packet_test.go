package vnet_test

// A builder and a parser of packets for tests. They share no code with the package, so that the same mistake is not in both.

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

const (
	tcp  = 6
	udp  = 17
	sctp = 132

	fin, syn, psh, ack, cwr = 0x01, 0x02, 0x08, 0x10, 0x80
)

// A packet describes a frame to build. Zero values select the common case.
type packet struct {
	tags       []uint16 // TPIDs, outermost first
	v6         bool
	options    []byte // of IPv4, a multiple of 4 bytes
	extensions []byte // of IPv6, complete except for the next header of the last one, the byte at lastNext
	firstNext  uint8  // kind of the first extension
	lastNext   int
	final      int // offset of the final destination in the extensions; 0: the destination of the header
	protocol   uint8
	flags      uint8  // of TCP
	tcpOptions []byte // a multiple of 4 bytes
	seq        uint32
	id         uint16
	fragment   uint16 // flags and offset of IPv4
	payload    int    // bytes
	padding    int    // bytes of Ethernet padding, which are not zero
	nonzeroSum bool   // a wrong pseudo-header sum
}

// transport returns the position of the transport header.
func (p packet) transport() int {
	if p.v6 {
		return p.network() + 40 + len(p.extensions)
	}
	return p.network() + 20 + len(p.options)
}

func (p packet) network() int { return 14 + 4*len(p.tags) }

// header returns the header of the frame with its checksum to complete.
func (p packet) header() vnet.Header {
	h := vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: uint16(p.transport())}
	switch p.protocol {
	case tcp:
		h.CsumOffset = 16
	case udp:
		h.CsumOffset = 6
	}
	return h
}

// gso returns the header of the frame to segment, with a hint for HdrLen that is wrong.
func (p packet) gso(size uint16) vnet.Header {
	h := p.header()
	h.GSOSize, h.HdrLen = size, 9999
	switch {
	case p.protocol == udp:
		h.GSOType = vnet.GSOUDPL4
	case p.v6:
		h.GSOType = vnet.GSOTCPv6
	default:
		h.GSOType = vnet.GSOTCPv4
	}
	return h
}

// frame builds the frame with the folded sum of the pseudo-header in the checksum field.
func (p packet) frame() []byte {
	b := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}
	for i, tag := range p.tags {
		b = binary.BigEndian.AppendUint16(b, tag)
		b = binary.BigEndian.AppendUint16(b, uint16(100+i))
	}
	segment := p.segment()
	var addresses []byte
	if p.v6 {
		b = append(b, 0x86, 0xdd, 0x60, 0x12, 0x34, 0x56)
		b = binary.BigEndian.AppendUint16(b, uint16(len(p.extensions)+len(segment)))
		addresses = []byte("\xfd\x00source addr ess\xfd\x01destin. address")[:32]
		next := p.protocol
		if len(p.extensions) > 0 {
			next = p.firstNext
		}
		b = append(append(b, next, 63), addresses...)
		extensions := append([]byte(nil), p.extensions...)
		if len(extensions) > 0 {
			extensions[p.lastNext] = p.protocol
		}
		b = append(b, extensions...)
		if p.final > 0 {
			copy(addresses[16:], extensions[p.final:])
		}
	} else {
		b = append(b, 0x08, 0x00)
		at := len(b)
		addresses = []byte{10, 244, 1, 7, 203, 0, 113, 250}
		b = append(b, 0x45+byte(len(p.options)/4), 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(p.options)+len(segment)))
		b = binary.BigEndian.AppendUint16(b, p.id)
		b = binary.BigEndian.AppendUint16(b, p.fragment)
		b = append(append(append(b, 63, p.protocol, 0, 0), addresses...), p.options...)
		binary.BigEndian.PutUint16(b[at+10:], ^slowSum(b[at:]))
	}
	pseudo := append(addresses, 0, p.protocol, byte(len(segment)>>8), byte(len(segment)))
	if field := p.header().CsumOffset; field != 0 {
		binary.BigEndian.PutUint16(segment[field:], slowSum(pseudo))
		if p.nonzeroSum {
			segment[field]++
		}
	}
	b = append(b, segment...)
	for range p.padding {
		b = append(b, 0xaa)
	}
	return b
}

// segment builds the transport header with its payload.
func (p packet) segment() []byte {
	var b []byte
	switch p.protocol {
	case tcp:
		b = append(b, 0x1f, 0x90, 0xc0, 0x01)
		b = binary.BigEndian.AppendUint32(b, p.seq)
		b = append(b, 1, 2, 3, 4, byte(5+len(p.tcpOptions)/4)<<4, p.flags, 0x20, 0, 0, 0, 0, 0)
		b = append(b, p.tcpOptions...)
	case udp:
		b = append(b, 0xc0, 0x01, 0x10, 0x00)
		b = binary.BigEndian.AppendUint16(b, uint16(8+p.payload))
		b = append(b, 0, 0)
	}
	for i := range p.payload {
		b = append(b, byte(i*7+i>>8+1))
	}
	return b
}

// slowSum returns the sum of RFC 1071, computed word by word.
func slowSum(b []byte) uint16 {
	sum := 0
	for i, c := range b {
		if i%2 == 0 {
			sum += int(c) << 8
		} else {
			sum += int(c)
		}
		if sum > 0xffff {
			sum -= 0xffff
		}
	}
	return uint16(sum)
}

// A wire has the parts of a received frame.
type wire struct {
	ethernet  []byte // with its tags
	ip        []byte // header with options and extensions
	transport []byte // header
	payload   []byte
}

func (w wire) id() uint16   { return binary.BigEndian.Uint16(w.ip[4:]) }
func (w wire) seq() uint32  { return binary.BigEndian.Uint32(w.transport[4:]) }
func (w wire) flags() uint8 { return w.transport[13] }

// receive parses a frame that results from p, and fails the test unless its lengths and checksums are correct.
func receive(t testing.TB, p packet, frame []byte) wire {
	t.Helper()
	var w wire
	w.ethernet = frame[:p.network()]
	packet := frame[p.network():]
	headerLen := p.transport() - p.network()
	w.ip = packet[:headerLen]
	var addresses []byte
	if p.v6 {
		if total := 40 + int(binary.BigEndian.Uint16(packet[4:])); total != len(packet)-p.padding {
			t.Fatalf("the IPv6 packet has a length of %d and %d bytes", total, len(packet)-p.padding)
		}
		addresses = slices.Clone(packet[8:40])
		if p.final > 0 {
			copy(addresses[16:], packet[40+p.final:][:16])
		}
	} else {
		if total := int(binary.BigEndian.Uint16(packet[2:])); total != len(packet)-p.padding {
			t.Fatalf("the IPv4 packet has a total length of %d and %d bytes", total, len(packet)-p.padding)
		}
		if sum := slowSum(w.ip); sum != 0xffff {
			t.Fatalf("the IPv4 header sums to %#04x, want 0xffff", sum)
		}
		addresses = packet[12:20]
	}
	segment := packet[headerLen : len(packet)-p.padding]
	transportLen := 8
	if p.protocol == tcp {
		transportLen = int(segment[12]>>4) * 4
	} else if length := int(binary.BigEndian.Uint16(segment[4:])); length != len(segment) {
		t.Fatalf("the UDP datagram has a length of %d and %d bytes", length, len(segment))
	}
	sum := append(append([]byte(nil), addresses...), 0, p.protocol, byte(len(segment)>>8), byte(len(segment)))
	if got := slowSum(append(sum, segment...)); got != 0xffff {
		t.Fatalf("pseudo-header and segment sum to %#04x, want 0xffff", got)
	}
	w.transport, w.payload = segment[:transportLen], segment[transportLen:]
	return w
}
