package vnet_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// A merged is what a Run made of some frames.
type merged struct {
	header vnet.Header
	frame  []byte
}

// merge puts the frames into one buffer, with a gap before each as a stream has it, and merges what can be merged.
func merge(frames [][]byte) []merged {
	var buffer []byte
	ends := make([]int, len(frames))
	for i, f := range frames {
		buffer = append(append(buffer, 0xa, 0xb, 0xc, 0xd), f...)
		ends[i] = len(buffer)
	}
	at := func(i int) []byte { return buffer[ends[i]-len(frames[i]) : ends[i]] }
	var out []merged
	var run vnet.Run
	run.Start(at(0))
	for i := 1; i < len(frames); i++ {
		if !run.Add(at(i)) {
			h, f := run.Frame()
			out = append(out, merged{h, f})
			run.Start(at(i))
		}
	}
	h, f := run.Frame()
	return append(out, merged{h, f})
}

// giveBack checks that cutting what was merged gives back the frames, and returns how many there were before that. A checksum
// of 0 may come back as 0xffff, which is the same.
func giveBack(t *testing.T, frames [][]byte) int {
	t.Helper()
	runs := merge(frames)
	var got [][]byte
	for _, m := range runs {
		got = append(got, segment(t, m.header, m.frame)...)
	}
	if len(got) != len(frames) {
		t.Fatalf("%d frames come back as %d", len(frames), len(got))
	}
	for i := range frames {
		if !bytes.Equal(oneZero(got[i]), oneZero(frames[i])) {
			t.Fatalf("frame %d comes back as\n%x, was\n%x", i, got[i], frames[i])
		}
	}
	return len(runs)
}

// oneZero returns the frame with 0xffff for a TCP or IPv4 checksum of 0.
func oneZero(frame []byte) []byte {
	frame = bytes.Clone(frame)
	for _, at := range []int{24, 50} {
		if len(frame) >= at+2 && binary.BigEndian.Uint16(frame[at:]) == 0 {
			binary.BigEndian.PutUint16(frame[at:], 0xffff)
		}
	}
	return frame
}

// pieces cuts a TCP packet into wire-ready segments.
func pieces(t testing.TB, p packet, size uint16) [][]byte {
	p.protocol = tcp
	return segment(t, p.gso(size), p.frame())
}

// complete makes the checksums of a TCP segment right again after it was changed.
func complete(frame []byte) {
	frame[24], frame[25], frame[50], frame[51] = 0, 0, 0, 0
	binary.BigEndian.PutUint16(frame[24:], ^slowSum(frame[14:34]))
	pseudo := append(bytes.Clone(frame[26:34]), 0, tcp, byte((len(frame)-34)>>8), byte(len(frame)-34))
	binary.BigEndian.PutUint16(frame[50:], ^slowSum(append(pseudo, frame[34:]...)))
}

// TestMerge lists what is merged into how many frames; all of it comes back.
func TestMerge(t *testing.T) {
	bulk := packet{fragment: df, flags: ack | psh, payload: 10*1400 + 77, seq: 1<<32 - 3000, id: 65530}
	stamped := bulk
	stamped.tcpOptions = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	other := bulk
	other.seq += 100000
	for _, test := range []struct {
		name   string
		frames [][]byte
		want   int
	}{
		{"one frame", pieces(t, packet{fragment: df, flags: ack, payload: 100}, 1400), 1},
		{"no payload", [][]byte{pieces(t, packet{fragment: df, flags: ack}, 1400)[0], pieces(t, packet{fragment: df, flags: ack}, 1400)[0]}, 2},
		{"a segment cut", pieces(t, bulk, 1400), 1},
		{"options", pieces(t, stamped, 1400), 1},
		{"one byte each", pieces(t, packet{fragment: df, flags: ack, payload: 40}, 1), 1},
		{"two segments cut: the first ends with PSH", append(pieces(t, bulk, 1400), pieces(t, other, 1400)...), 2},
		{"FIN", pieces(t, packet{fragment: df, flags: ack | fin, payload: 2800}, 1400), 2},
		{"may be fragmented", pieces(t, packet{flags: ack, payload: 2800}, 1400), 2},
		{"tags", pieces(t, packet{tags: oneTag, fragment: df, flags: ack, payload: 2800}, 1400), 2},
		{"IP options", pieces(t, packet{options: routerAlert, fragment: df, flags: ack, payload: 2800}, 1400), 2},
		{"IPv6", pieces(t, packet{v6: true, flags: ack, payload: 2800}, 1400), 2},
		{"not IP", [][]byte{make([]byte, 60), make([]byte, 60)}, 2},
		{"too short for anything", [][]byte{{1}, make([]byte, 14), make([]byte, 53)}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := giveBack(t, test.frames); got != test.want {
				t.Errorf("%d frames became %d, want %d", len(test.frames), got, test.want)
			}
		})
	}
}

// TestMergeRoom shows that a run ends where its buffer or an IPv4 packet does.
func TestMergeRoom(t *testing.T) {
	frames := pieces(t, packet{fragment: df, flags: ack, payload: 60 * 1000}, 1000)
	more := pieces(t, packet{fragment: df, flags: ack, payload: 20 * 1000, seq: 60 * 1000, id: 60}, 1000)
	if got := giveBack(t, append(frames, more...)); got != 2 {
		t.Errorf("80 segments of 1000 bytes became %d frames, want 2", got)
	}
	tight := append(make([]byte, 0, len(frames[0])+999), frames[0]...)
	var run vnet.Run
	run.Start(tight)
	if run.Add(frames[1]) {
		t.Error("a segment was added beyond the room")
	}
	if h, f := run.Frame(); h != (vnet.Header{}) || !bytes.Equal(f, frames[0]) {
		t.Error("a frame to which nothing was added is not as it was")
	}
}

// TestMergeDifferences changes each bit of the second of three segments, with its checksums made right again and without:
// the three always come back as they were, and a wrong one is never merged.
func TestMergeDifferences(t *testing.T) {
	original := pieces(t, packet{fragment: df, flags: ack, payload: 300, tcpOptions: []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}}, 100)
	for i := range 8 * 90 {
		for _, right := range []bool{true, false} {
			frames := [][]byte{original[0], bytes.Clone(original[1]), original[2]}
			frames[1][i/8] ^= 1 << (i % 8)
			if right {
				complete(frames[1])
			}
			if got := giveBack(t, frames); !right && got != 3 && i/8 >= 14 {
				t.Errorf("bit %d of byte %d is wrong, and was merged", i%8, i/8)
			}
		}
	}
}

// FuzzMerge merges what may be segments of one stream, with bytes changed anywhere.
func FuzzMerge(f *testing.F) {
	for _, s := range []struct {
		name          string
		payload, size uint16
		changes       []byte // four bytes each: the segment, with 128 to mend its checksums; where (2); which bits
	}{
		{"all of a stream", 300, 100, nil},
		{"more segments than the payload has bytes", 3000, 1, []byte{1, 0, 47, 8}},
		{"no IPv4, and another identification", 301, 100, []byte{2, 0, 14, 0x60, 1, 0, 18, 1}},
		{"another ethertype", 300, 100, []byte{1, 0, 12, 0x80}},
		{"another protocol", 300, 100, []byte{0x83, 0, 23, 1}},
		{"a fragment", 300, 100, []byte{0x83, 0, 20, 0x60}},
		{"a flag that says something", 300, 100, []byte{0x83, 0, 47, 2}},
		{"an urgent pointer", 300, 100, []byte{0x83, 0, 53, 1}},
		{"a data offset beyond the segment", 300, 100, []byte{0x83, 0, 46, 0xa0}},
		{"a data offset below its least", 300, 100, []byte{0x83, 0, 46, 0x70}},
		{"a total length that lies", 300, 100, []byte{0x83, 0, 17, 1}},
		{"a hole in the stream", 300, 100, []byte{0x83, 0, 41, 1}},
		{"another acknowledgement", 300, 100, []byte{0x83, 0, 45, 1}},
		{"another window", 300, 100, []byte{0x83, 0, 49, 1}},
		{"another type of service", 300, 100, []byte{0x83, 0, 15, 1}},
		{"a wrong checksum of the first segment", 300, 100, []byte{0, 0, 60, 1}},
		{"a wrong checksum of the second segment", 300, 100, []byte{1, 0, 60, 1}},
		{"the end of a burst in its middle", 400, 100, []byte{0x85, 0, 47, 8}},
		{"a frame in the middle that is none to merge", 500, 100, []byte{0x82, 0, 47, 2}},
		{"a larger segment behind a smaller one", 250, 100, nil},
	} {
		f.Add(s.payload, s.size, s.changes)
	}
	f.Fuzz(func(t *testing.T, payload, size uint16, changes []byte) {
		if size == 0 || int(payload) > 20*int(size) || payload > 9000 {
			return
		}
		frames := pieces(t, packet{fragment: df, flags: ack | psh, payload: int(payload)}, size)
		for ; len(changes) >= 4; changes = changes[4:] {
			frame := frames[int(changes[0])%len(frames)]
			frame[int(binary.BigEndian.Uint16(changes[1:]))%len(frame)] ^= changes[3]
			if changes[0]&0x80 != 0 {
				complete(frame)
			}
		}
		giveBack(t, frames)
	})
}

func BenchmarkMerge(b *testing.B) {
	frames := pieces(b, packet{fragment: df, flags: ack, payload: 32 * 1448}, 1448)
	buffer := make([]byte, 0, 64<<10)
	b.SetBytes(32 * 1448)
	b.ReportAllocs()
	for b.Loop() {
		var run vnet.Run
		run.Start(append(buffer, frames[0]...))
		for _, f := range frames[1:] {
			if !run.Add(f) {
				b.Fatal("not merged")
			}
		}
	}
}
