package vnet_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// FuzzDivide divides any frame, made longer to above 64 KiB. The parts fit, the ingress check accepts them, and they are for the same flow: the payload
// is complete and in order, sequence numbers and identifications are those of the segments, which are not more than the bound.
func FuzzDivide(f *testing.F) {
	for _, p := range []packet{{protocol: tcp, flags: ack | cwr, id: 65530}, {v6: true, protocol: tcp, flags: psh}, {tags: twoTags, protocol: tcp, options: routerAlert}} {
		for _, size := range []uint16{1448, 39, 9, 8, 40000} {
			b, frame := make([]byte, vnet.Size), p.frame()
			p.gso(size).Encode(b)
			f.Add(b, bytes.Clone(frame), uint32(110000)) // with a length
			length := p.network() + 2
			if p.v6 {
				length += 2
			}
			frame[length], frame[length+1] = 0, 0
			f.Add(b, frame, uint32(110000))
			f.Add(b, frame, uint32(200000))
		}
	}
	for _, option := range []byte{0xc2, 5} { // that of jumbograms, and router alert
		p := packet{v6: true, protocol: tcp, flags: psh, extensions: []byte{0, 0, option, 4, 0, 2, 0, 0}}
		b, frame := make([]byte, vnet.Size), p.frame()
		p.gso(1448).Encode(b)
		frame[18], frame[19] = 0, 0
		f.Add(b, frame, uint32(110000))
	}
	f.Fuzz(func(t *testing.T, header, start []byte, length uint32) {
		if len(header) < vnet.Size || len(start) > 2048 || length > 1<<19 {
			return
		}
		frame := bytes.Clone(start)
		for i := len(frame); i < int(length); i++ {
			frame = append(frame, byte(i*7+i>>8))
		}
		h := vnet.Decode(header)
		before := bytes.Clone(frame)
		parts, ok := vnet.Divide(h, frame)
		if ok {
			checkParts(t, h, before, parts)
		}
		checkJumbo(t, h, before, ok)
	})
}

// dividedHeaders returns what the parts of a frame over IPv6 begin with: the frame without the hop-by-hop header of a jumbogram, and without
// its length.
func dividedHeaders(frame []byte, network int) []byte {
	headers := withoutLength(frame, network)
	options := headers[network+40:]
	if headers[network+6] == 0 && bytes.HasPrefix(options[1:], []byte{0, 0xc2, 4}) {
		headers[network+6] = options[0]
		headers = append(headers[:network+40], options[8:]...)
	}
	return headers
}

// checkJumbo checks that a jumbogram is divided exactly if the same packet without its hop-by-hop header is.
func checkJumbo(t *testing.T, h vnet.Header, frame []byte, divided bool) {
	t.Helper()
	network := 14 + len(tags(frame))
	if len(frame) < network+48+65536 || binary.BigEndian.Uint16(frame[network-2:]) != 0x86dd {
		return
	}
	plain := dividedHeaders(frame, network)
	if len(plain) == len(frame) {
		return
	}
	copy(plain[network+4:network+6], frame[network+4:])
	h.CsumStart -= 8
	if _, ok := vnet.Divide(h, plain); ok != divided {
		t.Fatalf("a jumbogram of %d bytes is divided: %t; without its hop-by-hop header: %t", len(frame), divided, ok)
	}
}

// withoutLength returns a copy of a frame over IPv6 with the payload length 0.
func withoutLength(frame []byte, network int) []byte {
	frame = bytes.Clone(frame)
	frame[network+4], frame[network+5] = 0, 0
	return frame
}

// checkParts compares the parts with the frame.
func checkParts(t *testing.T, h vnet.Header, frame []byte, parts vnet.Parts) {
	t.Helper()
	dst := make([]byte, vnet.MaxPart)
	var payload []byte
	var first []byte
	count := 0
	for part, n := parts.Next(dst); n > 0; part, n = parts.Next(dst) {
		b := bytes.Clone(dst[:n])
		again := part
		if !vnet.Check(&again, b) || again != part || part.GSOSize != h.GSOSize || part.GSOType&^vnet.GSOECN != h.GSOType&^vnet.GSOECN {
			t.Fatalf("%+v becomes a part of %d bytes with %+v, checked %+v", h, n, part, again)
		}
		if first == nil {
			first = b
		}
		at := int(part.CsumStart)
		if got := binary.BigEndian.Uint32(b[at+4:]) - binary.BigEndian.Uint32(first[at+4:]); int(got) != len(payload) {
			t.Fatalf("a part behind %d bytes has a sequence number %d bytes later", len(payload), got)
		}
		if network := 14 + len(tags(b)); b[network]>>4 == 4 {
			if got := binary.BigEndian.Uint16(b[network+4:]) - binary.BigEndian.Uint16(first[network+4:]); got != uint16(len(payload)/int(h.GSOSize)) {
				t.Fatalf("a part behind %d bytes has an identification %d later", len(payload), got)
			}
			if length := binary.BigEndian.Uint16(frame[network+2:]); length != 0 {
				t.Fatalf("a packet of %d bytes is divided", length)
			}
		} else if want := dividedHeaders(frame, network); !bytes.HasPrefix(want, withoutLength(b[:at], network)) {
			t.Fatalf("a part has the headers\n%x, want\n%x", b[:at], want[:at])
		}
		piece := b[part.HdrLen:]
		count += (len(piece) + int(h.GSOSize) - 1) / int(h.GSOSize)
		payload = append(payload, piece...)
	}
	if !bytes.HasSuffix(frame, payload) || len(frame)-len(payload) > len(first) || count > 8*1024 {
		t.Fatalf("%d bytes of %d in %d segments", len(payload), len(frame), count)
	}
}
