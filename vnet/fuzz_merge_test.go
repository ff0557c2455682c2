package vnet_test

import (
	"encoding/binary"
	"testing"
)

// FuzzMerge merges segments of one stream or datagrams of one flow, of one size or after a smaller one, with every state of their checksums and
// with changes of any byte. Segmentation restores the same frames.
func FuzzMerge(f *testing.F) {
	for _, s := range []struct {
		name          string
		payload, size uint16
		changes       []byte // four bytes each: number of the frame, plus 128 to correct its checksums; offset (2); bits to invert, or 0 to clear the byte
	}{
		{"all of a stream", 300, 100, nil},
		{"more frames than Linux merges", 70, 1, nil},
		{"more segments than the payload has bytes", 3000, 1, []byte{1, 0, 47, 8}},
		{"no IPv4, and another identification", 301, 100, []byte{2, 0, 14, 0x60, 1, 0, 18, 1}},
		{"another ethertype", 300, 100, []byte{1, 0, 12, 0x80}},
		{"another protocol", 300, 100, []byte{0x83, 0, 23, 1}},
		{"another protocol of all", 200, 100, []byte{0x80, 0, 23, 1, 0x81, 0, 23, 1}},
		{"a fragment", 300, 100, []byte{0x83, 0, 20, 0x60}},
		{"a flag besides ACK and PSH", 300, 100, []byte{0x83, 0, 47, 2}},
		{"an urgent pointer", 300, 100, []byte{0x83, 0, 53, 1}},
		{"a data offset beyond the segment", 300, 100, []byte{0x83, 0, 46, 0xa0}},
		{"a data offset below its least", 300, 100, []byte{0x83, 0, 46, 0x70}},
		{"a wrong total length", 300, 100, []byte{0x83, 0, 17, 1}},
		{"a wrong total length of the first frame", 300, 100, []byte{0x86, 0, 17, 1}},
		{"a hole in the stream", 300, 100, []byte{0x83, 0, 41, 1}},
		{"another acknowledgement", 300, 100, []byte{0x83, 0, 45, 1}},
		{"another window", 300, 100, []byte{0x83, 0, 49, 1}},
		{"another type of service", 300, 100, []byte{0x83, 0, 15, 1}},
		{"another identification", 300, 100, []byte{0x81, 0, 19, 1}},
		{"another source", 300, 100, []byte{0x81, 0, 26, 1}},
		{"another port", 300, 100, []byte{0x81, 0, 35, 1}},
		{"another time to live", 300, 100, []byte{0x81, 0, 22, 1}},
		{"a wrong UDP length", 300, 100, []byte{0x81, 0, 39, 1}},
		{"a wrong UDP length of the first datagram", 300, 100, []byte{0x83, 0, 39, 1}},
		{"a wrong checksum of the first frame", 300, 100, []byte{0, 0, 60, 1}},
		{"a wrong checksum of the second frame", 300, 100, []byte{1, 0, 60, 1}},
		{"a wrong checksum of the last frame", 300, 100, []byte{2, 0, 60, 1}},
		{"a wrong sum of the pseudo-header", 300, 100, []byte{1, 0, 40, 1, 1, 0, 50, 1}},
		{"no checksum", 300, 100, []byte{1, 0, 40, 0, 1, 0, 41, 0}},
		{"a wrong IPv4 checksum", 300, 100, []byte{1, 0, 24, 1}},
		{"the end of a burst in its middle", 400, 100, []byte{0x85, 0, 47, 8}},
		{"a frame in the middle that is none to merge", 500, 100, []byte{0x82, 0, 47, 2}},
		{"a smaller segment at the end", 250, 100, nil},
		{"IPv6: another traffic class", 300, 100, []byte{0x81, 0, 15, 0x10}},
		{"IPv6: another flow label", 300, 100, []byte{0x81, 0, 17, 1}},
		{"IPv6: a wrong payload length", 300, 100, []byte{0x83, 0, 19, 1}},
		{"IPv6: a payload length that is too small", 300, 100, []byte{0x83, 0, 19, 8}},
		{"IPv6: another hop limit", 300, 100, []byte{0x81, 0, 21, 1}},
		{"IPv6: another next header of all", 200, 100, []byte{0x80, 0, 20, 0x3a, 0x81, 0, 20, 0x3a}},
		{"IPv6: another destination", 300, 100, []byte{0x81, 0, 53, 1}},
		{"IPv6: a wrong UDP length, and no checksum", 300, 100, []byte{1, 0, 59, 1, 2, 0, 60, 0, 2, 0, 61, 0}},
		{"IPv6: a hole in the stream, and another window", 400, 100, []byte{0x81, 0, 61, 1, 0x83, 0, 69, 1}},
	} {
		for kind := range uint8(8 * kinds) {
			f.Add(kind, s.payload, s.size, s.changes)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload, size uint16, changes []byte) {
		if size == 0 || int(payload) > 70*int(size) || payload > 9000 {
			return
		}
		p := packet{protocol: tcp, fragment: df, flags: ack | psh, payload: int(payload)}
		if kind&1 != 0 {
			p.protocol = udp
		}
		p.v6 = kind/4/uint8(kinds)%2 != 0
		frames := flow(t, p, size, kind&2 != 0)
		s := stated(kind / 4 % uint8(kinds))
		for _, frame := range frames {
			s.put(p, frame)
		}
		for ; len(changes) >= 4; changes = changes[4:] {
			frame := frames[int(changes[0])%len(frames)]
			at := int(binary.BigEndian.Uint16(changes[1:])) % len(frame)
			frame[at] ^= changes[3]
			if changes[3] == 0 {
				frame[at] = 0
			}
			if changes[0]&0x80 != 0 {
				s.put(p, frame)
			}
		}
		restore(t, s, p, frames)
	})
}

// flow returns the pieces of a packet. With more, they follow and precede those of two smaller packets of the same flow.
func flow(t *testing.T, p packet, size uint16, more bool) [][]byte {
	half := p
	if half.payload = int(size / 2); !more || half.payload == 0 {
		return pieces(t, p, size)
	}
	half.flags = ack
	frames := pieces(t, half, size)
	p.id, p.seq = 1, uint32(half.payload)
	frames = append(frames, pieces(t, p, size)...)
	half.id, half.seq = uint16(len(frames)), uint32(half.payload+p.payload)
	return append(frames, pieces(t, half, size)...)
}
