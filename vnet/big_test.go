package vnet_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// big returns a TCP frame with more than 64 KiB of payload and the length field that Linux writes, and the segments that it stands for.
func big(t *testing.T, p packet, size int) (frame []byte, want [][]byte) {
	t.Helper()
	whole := p.frame()
	frame = bytes.Clone(whole)
	at := p.network() + 2
	if p.v6 {
		at = p.network() + 4
	}
	frame[at], frame[at+1] = 0, 0
	for sent := 0; sent < p.payload; sent += size {
		n := min(size, p.payload-sent)
		piece := p
		piece.payload, piece.seq, piece.id = n, p.seq+uint32(sent), p.id+uint16(sent/size)
		b := piece.frame()
		copy(b[len(b)-n:], whole[len(whole)-p.payload+sent:])
		last := sent+n == p.payload
		flags := whole[p.transport()+13]
		if !last {
			flags &^= fin | psh
		}
		b[p.transport()+13] = flags
		h := piece.header()
		vnet.Complete(h, b)
		want = append(want, b)
	}
	return frame, want
}

// The parts of a frame above 64 KiB yield its segments.
func TestDivide(t *testing.T) {
	for name, p := range map[string]packet{
		"IPv4":      {protocol: tcp, payload: 180000, seq: 1<<32 - 5, id: 65530, flags: ack | psh | fin | cwr}, // CWR of Accurate ECN
		"IPv4 tag":  {protocol: tcp, payload: 70000, tags: oneTag},
		"IPv6":      {v6: true, protocol: tcp, payload: 150001},
		"just over": {protocol: tcp, payload: 65536 - 40},
	} {
		t.Run(name, func(t *testing.T) {
			const size = 1408
			frame, want := big(t, p, size)
			compareParts(t, p.gso(size), frame, want)
		})
	}
}

// With GSOECN, CWR is on the first segment of the first part alone.
func TestDivideECN(t *testing.T) {
	p := packet{protocol: tcp, payload: 180000, flags: ack | cwr}
	frame, want := big(t, p, 1408)
	for _, segment := range want[1:] {
		segment[47] &^= cwr
		clear(segment[50:52])
		pseudo := append(bytes.Clone(segment[26:34]), 0, tcp, byte((len(segment)-34)>>8), byte(len(segment)-34))
		binary.BigEndian.PutUint16(segment[50:], ^slowSum(append(pseudo, segment[34:]...)))
	}
	h := p.gso(1408)
	h.GSOType |= vnet.GSOECN
	compareParts(t, h, frame, want)
	parts, _ := vnet.Divide(h, frame)
	dst := make([]byte, vnet.MaxPart)
	for i := range 3 {
		if part, _ := parts.Next(dst); part.GSOType&vnet.GSOECN != 0 != (i == 0) {
			t.Errorf("part %d has the type %#x", i, part.GSOType)
		}
	}
}

// Parts of many small segments have no more of them than Check accepts.
func TestDivideSmallSegments(t *testing.T) {
	p := packet{protocol: tcp, flags: ack, payload: 180000, id: 9}
	frame, want := big(t, p, 39)
	compareParts(t, p.gso(39), frame, want)
}

// A frame yields at most eight times the segments of one that is not above 64 KiB.
func TestDivideBoundsSegments(t *testing.T) {
	p := packet{protocol: tcp, payload: 8 * 1024 * 9}
	frame, _ := big(t, p, 1408)
	if _, ok := vnet.Divide(p.gso(9), frame); !ok {
		t.Error("8192 segments are refused")
	}
	p.payload++
	frame, _ = big(t, p, 1408)
	if _, ok := vnet.Divide(p.gso(9), frame); ok {
		t.Error("8193 segments are accepted")
	}
}

// The hop-by-hop header of a jumbogram disappears.
func TestDivideJumbogram(t *testing.T) {
	p := packet{v6: true, protocol: tcp, payload: 150001}
	frame, want := big(t, p, 1408)
	header := []byte{6, 0, 0xc2, 4, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(header[4:], uint32(len(frame)-14-40+8))
	frame[14+6] = 0
	frame = append(frame[:54:54], append(header, frame[54:]...)...)
	h := p.gso(1408)
	h.CsumStart += 8
	compareParts(t, h, frame, want)
}

func compareParts(t *testing.T, h vnet.Header, frame []byte, want [][]byte) {
	t.Helper()
	parts, ok := vnet.Divide(h, frame)
	if !ok {
		t.Fatalf("%+v is refused", h)
	}
	dst := make([]byte, vnet.MaxPart)
	n := 0
	for h, length := parts.Next(dst); length > 0; h, length = parts.Next(dst) {
		for _, piece := range segment(t, h, bytes.Clone(dst[:length])) {
			if n >= len(want) || !bytes.Equal(piece, want[n]) {
				t.Fatalf("segment %d of %d is another one:\n%x", n, len(want), piece[:60])
			}
			n++
		}
	}
	if n != len(want) {
		t.Fatalf("%d segments, want %d", n, len(want))
	}
}

func TestDivideRefuses(t *testing.T) {
	p := packet{protocol: tcp, payload: 180000}
	frame, _ := big(t, p, 1408)
	for name, change := range map[string]func(h *vnet.Header, b []byte) []byte{
		"a length":         func(_ *vnet.Header, b []byte) []byte { b[17] = 40; return b },
		"64 KiB":           func(_ *vnet.Header, b []byte) []byte { return b[:14+65535] },
		"no size":          func(h *vnet.Header, b []byte) []byte { h.GSOSize = 0; return b },
		"size 1":           func(h *vnet.Header, b []byte) []byte { h.GSOSize = 1; return b },
		"UDP":              func(h *vnet.Header, b []byte) []byte { b[23] = 17; return b },
		"IPv6":             func(h *vnet.Header, b []byte) []byte { h.GSOType = vnet.GSOTCPv6; return b },
		"no checksum":      func(h *vnet.Header, b []byte) []byte { h.Flags = 0; return b },
		"another checksum": func(h *vnet.Header, b []byte) []byte { h.CsumOffset = 6; return b },
		"a short header":   func(h *vnet.Header, b []byte) []byte { b[14+20+12] = 0x40; return b },
		"a fragment":       func(h *vnet.Header, b []byte) []byte { b[20] = 0x20; return b },
		"datagrams":        func(h *vnet.Header, b []byte) []byte { h.GSOType = vnet.GSOUDPL4; return b },
	} {
		h := p.gso(1408)
		if _, ok := vnet.Divide(h, bytes.Clone(frame)); !ok {
			t.Fatal("the frame is refused unchanged")
		}
		b := change(&h, bytes.Clone(frame))
		if _, ok := vnet.Divide(h, b); ok {
			t.Errorf("%s is accepted", name)
		}
	}
}
