package vnet_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

func TestComplete(t *testing.T) {
	tests := []struct {
		name string
		p    packet
		gso  uint16
	}{
		{"TCPv4", tcp4, 0},
		{"TCPv6", tcp6, 0},
		{"TCPv4 with options", tcp4Options, 0},
		{"TCPv6 with extension", tcp6Extended, 0},
		{"UDPv4, odd", packet{protocol: udp, payload: 1235}, 0},
		{"UDPv6, empty", packet{v6: true, protocol: udp}, 0},
		{"two tags", packet{tags: twoTags, protocol: tcp, payload: 11}, 0},
		{"Ethernet padding", packet{protocol: udp, payload: 1, padding: 17}, 0},
		{"Ethernet padding of IPv6", packet{v6: true, protocol: tcp, payload: 3, padding: 5}, 0},
		{"large TCPv4", tcp4, 1448},
		{"large TCPv6 with extension", tcp6Extended, 1000},
		{"large TCPv4 without the length in its sum", packet{protocol: tcp, payload: 9000, nonzeroSum: true}, 1448},
	}
	for _, test := range tests {
		h, frame := test.p.header(), test.p.frame()
		if test.gso > 0 {
			h = test.p.gso(test.gso)
		}
		h.Flags |= vnet.FlagDataValid
		if !vnet.Check(&h, frame) {
			t.Fatalf("%s: rejected", test.name)
		}
		want := append([]byte(nil), frame...)
		got := vnet.Complete(h, frame)
		if got != (vnet.Header{Flags: vnet.FlagDataValid}) {
			t.Errorf("%s: Complete returns %+v", test.name, got)
		}
		receive(t, test.p, frame)
		field := int(h.CsumStart) + int(h.CsumOffset)
		copy(want[field:], frame[field:field+2])
		if !bytes.Equal(frame, want) {
			t.Errorf("%s: bytes other than the checksum changed", test.name)
		}
	}
}

func TestCompleteWithNothingToDo(t *testing.T) {
	frame := tcp4.frame()
	want := append([]byte(nil), frame...)
	h := vnet.Header{Flags: vnet.FlagDataValid}
	if got := vnet.Complete(h, frame); got != h {
		t.Errorf("becomes %+v, want %+v", got, h)
	}
	if !bytes.Equal(frame, want) {
		t.Error("the frame changed")
	}
}

// A UDP datagram whose checksum is 0 contains 0xffff, because 0 means "no checksum".
func TestCompleteWritesNoZero(t *testing.T) {
	p := packet{protocol: udp, payload: 2}
	h, frame := p.header(), p.frame()
	field := p.transport() + 6
	frame[len(frame)-2], frame[len(frame)-1] = 0, 0
	binary.BigEndian.PutUint16(frame[len(frame)-2:], ^slowSum(frame[p.transport():]))
	vnet.Complete(h, frame)
	if got := binary.BigEndian.Uint16(frame[field:]); got != 0xffff {
		t.Errorf("the checksum is %#04x, want 0xffff", got)
	}
	receive(t, p, frame)
}

// Without a valid IP length, the checksum covers the frame to its end, as in Linux.
func TestCompleteOfLyingLength(t *testing.T) {
	for _, total := range []uint16{0, 20, 30, 65535} {
		p := packet{protocol: tcp, payload: 100}
		h, frame := p.header(), p.frame()
		binary.BigEndian.PutUint16(frame[16:], total)
		if !vnet.Check(&h, frame) {
			t.Fatalf("total length %d: rejected", total)
		}
		vnet.Complete(h, frame)
		binary.BigEndian.PutUint16(frame[16:], uint16(len(frame)-14))
		binary.BigEndian.PutUint16(frame[24:], 0)
		binary.BigEndian.PutUint16(frame[24:], ^slowSum(frame[14:34]))
		receive(t, p, frame)
	}
}

// The checksum of a packet that is not IP covers the frame to its end.
func TestCompleteOtherEthertype(t *testing.T) {
	frame := []byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x88\x47some label\x00\x00and more")
	h := vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: 14, CsumOffset: 10}
	if !vnet.Check(&h, frame) {
		t.Fatal("rejected")
	}
	vnet.Complete(h, frame)
	if got := slowSum(frame[14:]); got != 0xffff {
		t.Errorf("sums to %#04x, want 0xffff", got)
	}
}

func TestCompleteSCTP(t *testing.T) {
	p := packet{protocol: sctp, payload: 40, padding: 3}
	frame := p.frame()
	h := p.header()
	h.CsumOffset = 8
	if !vnet.Check(&h, frame) {
		t.Fatal("rejected")
	}
	packet := frame[p.transport() : len(frame)-p.padding]
	vnet.Complete(h, frame)
	got := binary.LittleEndian.Uint32(packet[8:])
	clear(packet[8:12])
	if want := crc32.Checksum(packet, crc32.MakeTable(crc32.Castagnoli)); got != want {
		t.Errorf("the CRC is %#x, want %#x", got, want)
	}
}

func TestCompleteDoesNotAllocate(t *testing.T) {
	h, frame := tcp4.header(), tcp4.frame()
	if n := testing.AllocsPerRun(100, func() { vnet.Complete(h, frame) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
