package vnet_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// segment checks the header, cuts the frame and returns the pieces.
func segment(t testing.TB, h vnet.Header, frame []byte) [][]byte {
	t.Helper()
	if !vnet.Check(&h, frame) {
		t.Fatalf("%+v is rejected", h)
	}
	before := append([]byte(nil), frame...)
	var pieces [][]byte
	dst := make([]byte, vnet.WireLen(h, frame))
	segments := vnet.Cut(h, frame)
	for n := segments.Next(dst); n > 0; n = segments.Next(dst) {
		pieces = append(pieces, append([]byte(nil), dst[:n]...))
	}
	if !segments.Done() {
		t.Fatalf("Next stopped before the end with %d bytes of room", len(dst))
	}
	if !bytes.Equal(frame, before) {
		t.Fatal("the frame changed")
	}
	return pieces
}

// Packets with a routing header: the pseudo-header contains the final destination.
var (
	viaTwo     = packet{v6: true, protocol: udp, extensions: route(0, 2, 1), firstNext: 43, final: 24}
	bySegments = packet{v6: true, protocol: tcp, extensions: route(4, 2, 1), firstNext: 43, final: 8}
	arrived    = packet{v6: true, protocol: tcp, extensions: route(4, 2, 0), firstNext: 43}
)

// Segments reassemble to the payload of the frame, and each is a valid packet.
func TestCutAndReassemble(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	bases := []packet{
		tcp4, tcp6, udp4, udp6, tcp4Options, tcp6Extended, tcp6Routed, viaTwo, bySegments, arrived,
		{tags: oneTag, protocol: tcp}, {tags: twoTags, v6: true, protocol: udp}, {protocol: tcp, nonzeroSum: true},
	}
	for i := range 600 {
		p := bases[i%len(bases)]
		p.payload = random.IntN(9000)
		p.seq, p.id = random.Uint32(), uint16(random.Uint32())
		size := 1 + random.IntN(3000)
		if i < 50 {
			size = 1 + i%3
			p.payload %= 50
		}
		if p.protocol == udp { // has another limit
			size = max(size, (p.payload+127)/128)
		} else {
			size = max(size, (p.payload+1023)/1024)
		}
		if i%7 == 0 {
			p.padding = 6
		}
		t.Run(fmt.Sprintf("%d/%d of %d", i, size, p.payload), func(t *testing.T) {
			frame := p.frame()
			pieces := segment(t, p.gso(uint16(size)), frame)
			reassemble(t, p, size, frame, pieces)
		})
	}
}

// reassemble compares segments of at most size payload bytes with their frame.
func reassemble(t *testing.T, p packet, size int, frame []byte, pieces [][]byte) {
	t.Helper()
	if want := max(1, (p.payload+size-1)/size); len(pieces) != want {
		t.Fatalf("%d pieces, want %d", len(pieces), want)
	}
	sent := p
	p.padding = 0
	var payload []byte
	for i, piece := range pieces {
		w := receive(t, p, piece)
		if !bytes.Equal(w.ethernet, frame[:p.network()]) {
			t.Errorf("piece %d has another Ethernet header", i)
		}
		if last := i == len(pieces)-1; !last && len(w.payload) != size {
			t.Errorf("piece %d has %d bytes, want %d", i, len(w.payload), size)
		}
		if !p.v6 && w.id() != p.id+uint16(i) {
			t.Errorf("piece %d has ID %d, want %d", i, w.id(), p.id+uint16(i))
		}
		if p.protocol == tcp && w.seq() != p.seq+uint32(len(payload)) {
			t.Errorf("piece %d has sequence number %d, want %d", i, w.seq(), p.seq+uint32(len(payload)))
		}
		if p.protocol == tcp && !bytes.Equal(w.transport[20:], p.tcpOptions) {
			t.Errorf("piece %d has TCP options %x, want %x", i, w.transport[20:], p.tcpOptions)
		}
		if !bytes.Equal(w.ip[ipFixed(p):], frame[p.network():p.transport()][ipFixed(p):]) {
			t.Errorf("piece %d has other IP options or extensions", i)
		}
		payload = append(payload, w.payload...)
	}
	if want := frame[len(frame)-sent.padding-p.payload : len(frame)-sent.padding]; !bytes.Equal(payload, want) {
		t.Error("the payload differs")
	}
}

// ipFixed returns the length of the part of the IP header that every packet has.
func ipFixed(p packet) int {
	if p.v6 {
		return 40
	}
	return 20
}

func TestCutFlags(t *testing.T) {
	tests := []struct {
		name  string
		flags uint8
		ecn   bool
		want  [3]uint8
	}{
		{"plain", ack, false, [3]uint8{ack, ack, ack}},
		{"FIN and PSH on the last", ack | fin | psh, false, [3]uint8{ack, ack, ack | fin | psh}},
		{"CWR on the first", ack | cwr | psh, true, [3]uint8{ack | cwr, ack, ack | psh}},
		{"CWR of Accurate ECN", ack | cwr, false, [3]uint8{ack | cwr, ack | cwr, ack | cwr}},
	}
	for _, test := range tests {
		p := packet{protocol: tcp, flags: test.flags, payload: 2500}
		h := p.gso(1000)
		if test.ecn {
			h.GSOType |= vnet.GSOECN
		}
		pieces := segment(t, h, p.frame())
		if len(pieces) != len(test.want) {
			t.Fatalf("%s: %d pieces, want %d", test.name, len(pieces), len(test.want))
		}
		for i, piece := range pieces {
			if got := receive(t, p, piece).flags(); got != test.want[i] {
				t.Errorf("%s: piece %d has flags %#02x, want %#02x", test.name, i, got, test.want[i])
			}
		}
	}
}

func TestCutKeepsEverythingOfOneSegment(t *testing.T) {
	p := packet{protocol: tcp, flags: ack | fin | psh | cwr, payload: 100}
	h := p.gso(100)
	h.GSOType |= vnet.GSOECN
	pieces := segment(t, h, p.frame())
	if len(pieces) != 1 {
		t.Fatalf("%d pieces, want 1", len(pieces))
	}
	if got := receive(t, p, pieces[0]).flags(); got != p.flags {
		t.Errorf("flags %#02x, want %#02x", got, p.flags)
	}
}

// A UDP segment whose checksum is 0 contains 0xffff.
func TestCutWritesNoZero(t *testing.T) {
	p := packet{protocol: udp, payload: 4}
	frame := p.frame()
	seen := false
	for word := range 65536 {
		at := len(frame) - 4
		frame[at], frame[at+1] = byte(word>>8), byte(word)
		for _, piece := range segment(t, p.gso(2), frame) {
			switch sum := uint16(piece[p.transport()+6])<<8 | uint16(piece[p.transport()+7]); sum {
			case 0:
				t.Fatal("a segment has no checksum")
			case 0xffff:
				receive(t, p, piece)
				seen = true
			}
		}
	}
	if !seen {
		t.Error("no segment contains 0xffff")
	}
}

func TestCutWithoutGSO(t *testing.T) {
	for _, p := range []packet{tcp4, udp6, {protocol: udp, payload: 1, padding: 17}} {
		pieces := segment(t, p.header(), p.frame())
		if len(pieces) != 1 {
			t.Fatalf("%d pieces, want 1", len(pieces))
		}
		receive(t, p, pieces[0])
	}
	arp := []byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06anything")
	if pieces := segment(t, vnet.Header{}, arp); len(pieces) != 1 || !bytes.Equal(pieces[0], arp) {
		t.Errorf("the segments are %q", pieces)
	}
}

func TestNextSegmentNeedsRoom(t *testing.T) {
	for _, size := range []uint16{0, 1000} {
		h, frame := tcp4.header(), tcp4.frame()
		if size > 0 {
			h = tcp4.gso(size)
		}
		if !vnet.Check(&h, frame) {
			t.Fatal("rejected")
		}
		segments := vnet.Cut(h, frame)
		if n := segments.Next(make([]byte, vnet.WireLen(h, frame)-1)); n != 0 || segments.Done() {
			t.Errorf("GSO size %d: Next writes %d bytes into too small a buffer, and is done: %v", size, n, segments.Done())
		}
		dst := make([]byte, vnet.WireLen(h, frame))
		receive(t, tcp4, dst[:segments.Next(dst)])
	}
	var zero vnet.Segments
	if !zero.Done() || zero.Next(nil) != 0 {
		t.Error("the zero value has segments")
	}
}

func TestCutDoesNotAllocate(t *testing.T) {
	h, frame := tcp4.gso(1000), tcp4.frame()
	vnet.Check(&h, frame)
	dst := make([]byte, 2048)
	if n := testing.AllocsPerRun(100, func() {
		segments := vnet.Cut(h, frame)
		for segments.Next(dst) > 0 {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCut(b *testing.B) {
	for _, p := range []packet{{protocol: tcp}, {v6: true, protocol: tcp}, {protocol: udp}} {
		p.payload = 45 * 1428
		h, frame := p.gso(1428), p.frame()
		if !vnet.Check(&h, frame) {
			b.Fatal("refused")
		}
		b.Run(fmt.Sprintf("type %d", h.GSOType), func(b *testing.B) {
			dst := make([]byte, 2048)
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				segments := vnet.Cut(h, frame)
				for segments.Next(dst) > 0 {
				}
			}
		})
	}
}
