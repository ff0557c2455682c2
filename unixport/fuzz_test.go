package unixport

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

// A decoded is the result of decoding a stream: frames, the number of short ones, and whether a length field was too large.
type decoded struct {
	frames [][]byte
	short  uint64
	broken bool
	left   int // bytes of an incomplete frame at the end; set by the reference only
}

// decodeSlowly is the reference, which has the whole stream at once.
func decodeSlowly(stream []byte) (d decoded) {
	defer func() { d.left = len(stream) }()
	for len(stream) >= 4 {
		n := uint64(binary.BigEndian.Uint32(stream))
		if n > vswitch.MaxFrame {
			d.broken = true
			return d
		}
		if uint64(len(stream)) < 4+n {
			return d
		}
		if n < 14 {
			d.short++
		} else {
			d.frames = append(d.frames, stream[4:4+n])
		}
		stream = stream[4+n:]
	}
	return d
}

// decodeInCuts passes the stream to a decoder in pieces. Each byte of cuts, in turn, gives the length of a piece: half the byte plus one. If
// the byte is odd, another decoder resumes before each step.
func decodeInCuts(t *testing.T, stream, cuts []byte, batch []vswitch.Frame) (d decoded) {
	counters := new(vswitch.Counters)
	decoder := newDecoder()
	for i := 0; !d.broken; {
		if len(cuts) > 0 && cuts[i%len(cuts)]%2 == 1 {
			left := decoder.remaining()
			decoder = newDecoder()
			decoder.resume(left)
		}
		n, err := decoder.frames(batch, counters)
		for _, f := range batch[:n] {
			d.frames = append(d.frames, bytes.Clone(f.Data))
		}
		for _, f := range batch[:n] {
			_ = append(f.Data[:cap(f.Data)], 0xee) // must not overwrite bytes that are not split yet
			clear(f.Data[:cap(f.Data)])            // the switch may write to a frame up to its capacity
		}
		d.broken = err != nil
		if n > 0 || d.broken {
			continue
		}
		room := decoder.room()
		if len(room) == 0 {
			t.Fatal("no room, and no frame either")
		}
		if len(stream) == 0 {
			break
		}
		piece := len(stream)
		if len(cuts) > 0 {
			piece = 1 + int(cuts[i%len(cuts)]/2)
			i++
		}
		piece = copy(room, stream[:min(piece, len(stream))])
		stream = stream[piece:]
		decoder.filled(piece)
	}
	d.short = counters.Drops()[vswitch.Short.String()]
	return d
}

// FuzzStream: arbitrary bytes in arbitrary pieces give the frames of the reference, also if decoders resume one another.
func FuzzStream(f *testing.F) {
	for _, seed := range []struct {
		name         string
		stream, cuts []byte
	}{
		{"byte by byte", framed(frame(60, 1), frame(61, 2)), []byte{0}},
		{"all at once", framed(frame(60, 1), frame(61, 2), frame(14, 3)), nil},
		{"length cut in two", framed(frame(60, 1), frame(60, 2)), []byte{130, 2}},
		{"a handover at every byte", framed(frame(60, 1), frame(14, 2), nil, frame(61, 3)), []byte{1}},
		{"a handover between complete frames", bytes.Repeat(framed(frame(14, 1)), 100), []byte{255}},
		{"length 0", framed(nil, frame(60, 1)), []byte{4}},
		{"length 13", framed(frame(13, 1), frame(60, 1)), []byte{254}},
		{"largest, several times", bytes.Repeat(framed(frame(vswitch.MaxFrame, 1)), 9), nil},
		{"one byte above the largest", append(framed(frame(60, 1)), 0, 1, 0, 0x12, 1), []byte{126}},
		{"length 2^31", append(framed(frame(60, 1)), 0x80, 0, 0, 0, 1, 2, 3), nil},
		{"ends within a frame", framed(frame(60, 1), frame(60, 1))[:100], []byte{14, 62}},
		{"more than a batch", bytes.Repeat(framed(frame(14, 1)), 100), nil},
	} {
		f.Add(seed.name, seed.stream, seed.cuts)
	}
	f.Fuzz(func(t *testing.T, _ string, stream, cuts []byte) {
		want := decodeSlowly(stream)
		got := decodeInCuts(t, stream, cuts, make([]vswitch.Frame, vswitch.BatchSize))
		if got.short != want.short || got.broken != want.broken || len(got.frames) != len(want.frames) {
			t.Fatalf("%d frames, %d short, broken %t; want %d, %d, %t",
				len(got.frames), got.short, got.broken, len(want.frames), want.short, want.broken)
		}
		for i := range want.frames {
			if !bytes.Equal(got.frames[i], want.frames[i]) {
				t.Fatalf("frame %d is %x, want %x", i, got.frames[i], want.frames[i])
			}
		}
	})
}
