package vnet_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// A merged is a result of Run.Frame.
type merged struct {
	header vnet.Header
	frame  []byte
}

// A stated is the state of the checksums of a run, which the offload headers express.
type stated int

const (
	nothing stated = iota // complete and not verified
	valid                 // complete and verified by the kernel
	undone                // the field contains the sum of the pseudo-header
	kinds
)

// header returns the header of a frame of a packet.
func (s stated) header(p packet) vnet.Header {
	switch s {
	case valid:
		return vnet.Header{Flags: vnet.FlagDataValid}
	case undone:
		return p.header()
	}
	return vnet.Header{}
}

// field returns the offset of the checksum in a frame of a packet.
func field(p packet) int { return p.transport() + int(p.header().CsumOffset) }

// put writes the checksums of a frame, which has the headers of a packet, in the given state.
func (s stated) put(p packet, frame []byte) {
	at, transport := field(p), p.transport()
	if len(frame) < at+2 {
		return
	}
	var addresses []byte
	if p.v6 {
		addresses = frame[22:54]
	} else {
		binary.BigEndian.PutUint16(frame[24:], 0)
		binary.BigEndian.PutUint16(frame[24:], ^slowSum(frame[14:34]))
		addresses = frame[26:34]
	}
	length := len(frame) - transport
	pseudo := append(bytes.Clone(addresses), 0, p.protocol, byte(length>>8), byte(length))
	sum := slowSum(pseudo)
	if s != undone {
		binary.BigEndian.PutUint16(frame[at:], 0)
		sum = notZero(^slowSum(append(pseudo, frame[transport:]...)))
	}
	binary.BigEndian.PutUint16(frame[at:], sum)
}

// seen returns a frame in a normal form: complete, with 0xffff instead of 0 for a TCP or IPv4 checksum. A checksum that the kernel has verified
// becomes correct.
func (s stated) seen(p packet, frame []byte) []byte {
	frame = bytes.Clone(frame)
	at, transport := field(p), p.transport()
	switch sum := binary.BigEndian.Uint16(frame[at:]); {
	case s == undone:
		binary.BigEndian.PutUint16(frame[at:], notZero(^slowSum(frame[transport:])))
	case s == valid && (sum != 0 || p.protocol != udp):
		ip := bytes.Clone(frame[:transport])
		nothing.put(p, frame)
		copy(frame, ip)
	case p.protocol == tcp:
		binary.BigEndian.PutUint16(frame[at:], notZero(sum))
	}
	if !p.v6 {
		binary.BigEndian.PutUint16(frame[24:], notZero(binary.BigEndian.Uint16(frame[24:])))
	}
	return frame
}

func notZero(sum uint16) uint16 {
	if sum == 0 {
		return 0xffff
	}
	return sum
}

// merge copies the frames into one buffer, with a gap in front of each as in a stream, and merges them.
func merge(h vnet.Header, frames [][]byte) []merged {
	var buffer []byte
	ends := make([]int, len(frames))
	for i, f := range frames {
		buffer = append(append(buffer, 0xa, 0xb, 0xc, 0xd), f...)
		ends[i] = len(buffer)
	}
	at := func(i int) []byte { return buffer[ends[i]-len(frames[i]) : ends[i]] }
	var out []merged
	run := vnet.Run{Datagrams: true}
	run.Start(h, at(0))
	for i := 1; i < len(frames); i++ {
		if !run.Add(h, at(i)) {
			out = append(out, mergedOf(&run))
			run.Start(h, at(i))
		}
	}
	return append(out, mergedOf(&run))
}

func mergedOf(run *vnet.Run) merged {
	h, f := run.Frame()
	return merged{h, f}
}

// restore checks that segmentation restores the merged frames and that the other frames are unchanged. It returns the number of frames before
// segmentation.
func restore(t *testing.T, s stated, p packet, frames [][]byte) int {
	t.Helper()
	h := s.header(p)
	runs := merge(h, frames)
	left := frames
	for _, m := range runs {
		if m.header == h {
			if len(left) == 0 || !bytes.Equal(m.frame, left[0]) {
				t.Fatalf("a frame that was not merged is\n%x, want\n%x", m.frame, left)
			}
			left = left[1:]
			continue
		}
		for _, got := range segment(t, m.header, m.frame) {
			if len(left) == 0 || !bytes.Equal(nothing.seen(p, got), s.seen(p, left[0])) {
				t.Fatalf("a restored frame is\n%x, want\n%x", got, left)
			}
			left = left[1:]
		}
	}
	if len(left) > 0 {
		t.Fatalf("%d frames are not restored", len(left))
	}
	return len(runs)
}

// pieces cuts a TCP or UDP packet into wire-ready frames.
func pieces(t testing.TB, p packet, size uint16) [][]byte {
	if p.protocol == 0 {
		p.protocol = tcp
	}
	return segment(t, p.gso(size), p.frame())
}

// TestMerge lists frames and the number of frames after merging. All are restored, for each state of their checksums.
func TestMerge(t *testing.T) {
	bulk := packet{fragment: df, flags: ack | psh, payload: 10*1400 + 77, seq: 1<<32 - 3000, id: 65530}
	stamped := bulk
	stamped.tcpOptions = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	bulk6, stamped6 := bulk, stamped
	bulk6.v6, stamped6.v6 = true, true
	extended := packet{v6: true, flags: ack, payload: 2800, firstNext: 60, extensions: []byte{0, 0, 1, 4, 0, 0, 0, 0}}
	other := bulk
	other.seq += 100000
	other.id += 11
	voice := packet{protocol: udp, fragment: df, payload: 20 * 18, id: 65530}
	later := voice
	later.id += 20
	for _, test := range []struct {
		name   string
		frames [][]byte
		want   int
	}{
		{"one frame", pieces(t, packet{fragment: df, flags: ack, payload: 100}, 1400), 1},
		{"no payload", [][]byte{pieces(t, packet{fragment: df, flags: ack}, 1400)[0], pieces(t, packet{fragment: df, flags: ack, id: 1}, 1400)[0]}, 2},
		{"a segment cut", pieces(t, bulk, 1400), 1},
		{"options", pieces(t, stamped, 1400), 1},
		{"one byte each", pieces(t, packet{fragment: df, flags: ack, payload: 40}, 1), 1},
		{"two segments cut: the first ends with PSH", append(pieces(t, bulk, 1400), pieces(t, other, 1400)...), 2},
		{"FIN", pieces(t, packet{fragment: df, flags: ack | fin, payload: 2800}, 1400), 2},
		{"may be fragmented", pieces(t, packet{flags: ack, payload: 2800}, 1400), 2},
		{"tags", pieces(t, packet{tags: oneTag, fragment: df, flags: ack, payload: 2800}, 1400), 2},
		{"IP options", pieces(t, packet{options: routerAlert, fragment: df, flags: ack, payload: 2800}, 1400), 2},
		{"segments of IPv6", pieces(t, bulk6, 1400), 1},
		{"segments of IPv6 with options", pieces(t, stamped6, 1400), 1},
		{"IPv6 without payload", append(pieces(t, packet{v6: true, flags: ack}, 1400), pieces(t, packet{v6: true, flags: ack}, 1400)...), 2},
		{"extension headers", pieces(t, extended, 1400), 2},
		{"IPv6 with tags", pieces(t, packet{v6: true, tags: oneTag, flags: ack, payload: 2800}, 1400), 2},
		{"IPv6, then IPv4", [][]byte{pieces(t, bulk6, 1400)[0], pieces(t, bulk, 1400)[0]}, 2},
		{"IPv4, then IPv6", [][]byte{pieces(t, bulk, 1400)[0], pieces(t, bulk6, 1400)[0]}, 2},
		{"not IP", [][]byte{make([]byte, 60), make([]byte, 60)}, 2},
		{"too short for anything", [][]byte{{1}, make([]byte, 14), make([]byte, 41), make([]byte, 53)}, 4},
		{"datagrams", pieces(t, voice, 18), 1},
		{"datagrams, the last one shorter", pieces(t, packet{protocol: udp, fragment: df, payload: 3*1400 + 1}, 1400), 1},
		{"datagrams of one byte", pieces(t, packet{protocol: udp, fragment: df, payload: 5}, 1), 1},
		{"datagrams, then others of their size", append(pieces(t, voice, 18), pieces(t, later, 18)...), 1},
		{"datagrams behind a shorter one", append(pieces(t, voice, 19), pieces(t, later, 19)...), 2},
		{"larger datagrams", append(pieces(t, voice, 18), pieces(t, later, 20)...), 2},
		{"more datagrams than Linux merges", pieces(t, packet{protocol: udp, fragment: df, payload: 18 * 65}, 18), 2},
		{"no payload in the datagrams", append(pieces(t, packet{protocol: udp, fragment: df}, 9), pieces(t, packet{protocol: udp, fragment: df, id: 1}, 9)...), 2},
		{"datagrams that may be fragmented", pieces(t, packet{protocol: udp, payload: 200}, 100), 2},
		{"datagrams with IP options", pieces(t, packet{protocol: udp, options: routerAlert, fragment: df, payload: 200}, 100), 2},
		{"datagrams with a tag", pieces(t, packet{protocol: udp, tags: oneTag, fragment: df, payload: 200}, 100), 2},
		{"datagrams of IPv6", pieces(t, packet{protocol: udp, v6: true, payload: 250}, 100), 1},
		{"datagrams of IPv6 behind a shorter one", append(pieces(t, packet{protocol: udp, v6: true, payload: 250}, 100), pieces(t, packet{protocol: udp, v6: true, payload: 200}, 100)...), 2},
		{"the same datagram twice", [][]byte{pieces(t, voice, 18)[0], pieces(t, voice, 18)[0]}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			for s := nothing; s < kinds; s++ {
				p, _ := headersOf(test.frames[0])
				frames := clones(test.frames)
				for _, f := range frames {
					if own, plain := headersOf(f); s == undone && plain {
						s.put(own, f)
					}
				}
				if got := restore(t, s, p, frames); got != test.want {
					t.Errorf("%+v: %d frames became %d, want %d", s.header(p), len(frames), got, test.want)
				}
			}
		})
	}
}

// headersOf describes the headers of a frame with TCP or UDP behind a plain IP header, and reports whether it is one. For other frames it
// describes TCP over IPv4.
func headersOf(frame []byte) (p packet, plain bool) {
	switch {
	case len(frame) > 34 && frame[12] == 8 && frame[14] == 0x45:
		return packet{protocol: frame[23]}, true
	case len(frame) > 54 && frame[12] == 0x86 && frame[13] == 0xdd && (frame[20] == tcp || frame[20] == udp):
		return packet{v6: true, protocol: frame[20]}, true
	}
	return packet{protocol: tcp}, false
}

func clones(frames [][]byte) (all [][]byte) {
	for _, f := range frames {
		all = append(all, bytes.Clone(f))
	}
	return all
}

// flows are packets of all kinds that are merged.
var flows = []packet{
	{protocol: tcp, fragment: df, flags: ack},
	{protocol: udp, fragment: df},
	{protocol: tcp, v6: true, flags: ack},
	{protocol: udp, v6: true},
}

// TestMergeRoom shows that a run ends at the end of its buffer, or at the largest IPv4 packet.
func TestMergeRoom(t *testing.T) {
	for _, p := range flows {
		p.payload = 60 * 1000
		frames := pieces(t, p, 1000)
		p.payload, p.seq, p.id = 20*1000, 60*1000, 60
		if got := restore(t, nothing, p, append(frames, pieces(t, p, 1000)...)); got != 2 {
			t.Errorf("%+v: 80 frames of 1000 bytes became %d, want 2", p, got)
		}
		tight := append(make([]byte, 0, len(frames[0])+999), frames[0]...)
		run := vnet.Run{Datagrams: true}
		run.Start(vnet.Header{}, tight)
		if run.Add(vnet.Header{}, frames[1]) {
			t.Error("a frame was added beyond the capacity")
		}
		if h, f := run.Frame(); h != (vnet.Header{}) || !bytes.Equal(f, frames[0]) {
			t.Error("a frame to which nothing was added has changed")
		}
	}
}

// TestMergeDifferences inverts each bit of the second of three frames, with and without correcting its checksums. All three frames are always
// restored, and a frame with a wrong checksum that must be verified is never merged.
func TestMergeDifferences(t *testing.T) {
	for _, p := range flows {
		p.payload = 300
		if p.protocol == tcp {
			p.tcpOptions = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
		}
		original := pieces(t, p, 100)
		for s := nothing; s < kinds; s++ {
			for _, f := range original {
				s.put(p, f)
			}
			for i := range 8 * (field(p) + 40) {
				for _, right := range []bool{true, false} {
					frames := clones(original)
					frames[1][i/8] ^= 1 << (i % 8)
					if right {
						s.put(p, frames[1])
					}
					got := restore(t, s, p, frames)
					if at := i / 8; !right && got != 3 && s.answersFor(p, at) {
						t.Errorf("%+v: bit %d of byte %d is wrong, and was merged", s.header(p), i%8, at)
					}
				}
			}
		}
	}
}

// answersFor reports whether a change of a byte prevents merging unless the checksums are corrected: a checksum that must be verified covers
// it, or contains it, or it is in an IP header.
func (s stated) answersFor(p packet, at int) bool {
	inField := at == field(p) || at == field(p)+1
	return at >= 14 && at < p.transport() || at >= p.transport() && s == nothing || s == undone && inField
}
