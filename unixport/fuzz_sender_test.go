package unixport

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/podswitch/podswitch/vswitch"
)

// FuzzSender has the kernel accept any number of bytes at a time, and one sender resume another. The written bytes must be whole frames in
// order. sizes are the frames' lengths in bytes. The low bit of a step makes another sender resume, the next two bits are the number of
// frames to send, and the others, times three, the number of bytes to accept.
func FuzzSender(f *testing.F) {
	step := func(handsOver, frames, taken byte) byte { return handsOver | frames<<1 | taken<<3 }
	for _, seed := range []struct {
		name         string
		sizes, steps []byte
	}{
		{"nothing", nil, []byte{0, 1}},
		{"cut in a length", []byte{60, 14}, []byte{step(0, 1, 22), step(1, 1, 0), step(0, 0, 31)}},
		{"cut in a frame, and in its rest", []byte{60, 14}, []byte{step(1, 1, 3), step(1, 0, 5), step(0, 0, 31)}},
		{"cut between frames", []byte{14, 14}, []byte{step(0, 0, 6), step(1, 0, 6)}},
		{"nothing taken", []byte{14, 15, 16, 17}, []byte{step(0, 3, 0), step(0, 3, 1), step(1, 3, 0)}},
		{"rest and others at once", []byte{255, 9, 20}, []byte{step(1, 2, 30), step(1, 2, 31), step(0, 2, 31), step(0, 2, 31)}},
		{"ends within a frame", []byte{200}, []byte{step(0, 0, 2)}},
	} {
		f.Add(seed.name, seed.sizes, seed.steps)
	}
	f.Fuzz(func(t *testing.T, _ string, sizes, steps []byte) {
		k := kernel{counters: new(vswitch.Counters)}
		s := newSender(k.counters)
		at := 0
		for _, step := range steps {
			if step&1 != 0 {
				rest, begun := s.handOver()
				s = newSender(k.counters)
				s.resume(rest, begun)
			}
			var frames []vswitch.Frame
			for range 1 + int(step>>1&3) {
				if at < len(sizes) {
					frames = append(frames, vswitch.Frame{Data: frame(int(sizes[at]), at)})
					at++
				}
			}
			k.accept(t, &s, frames, 3*int(step>>3))
		}
		k.end(t, &s)
	})
}

// A kernel accepts the bytes that a sender writes.
type kernel struct {
	counters      *vswitch.Counters
	taken, wanted []byte // accepted bytes, and those of the frames that the sender has written or begun
	frames, bytes uint64 // of those frames
}

func (k *kernel) accept(t *testing.T, s *sender, frames []vswitch.Frame, most int) {
	t.Helper()
	var offered []byte
	for _, v := range s.vec[:s.gather(frames)] {
		offered = append(offered, unsafe.Slice(v.Base, v.Len)...)
	}
	written := min(most, len(offered))
	k.taken = append(k.taken, offered[:written]...)
	for _, f := range frames[:s.advance(written, frames)] {
		k.wanted = append(k.wanted, framed(f.Data)...)
		k.frames++
		k.bytes += uint64(len(f.Data))
	}
	if !bytes.Equal(append(bytes.Clone(k.taken), s.unsent...), k.wanted) {
		t.Fatalf("%d bytes were taken and %d are left, want %d whole frames", len(k.taken), len(s.unsent), k.frames)
	}
}

// end expects every frame to be counted; abandon counts a frame that was begun as a drop.
func (k *kernel) end(t *testing.T, s *sender) {
	t.Helper()
	lost, begun := uint64(0), 0
	if len(s.unsent) > 0 {
		lost, begun = 1, s.begun
	}
	s.abandon()
	frames, bytes, drops := k.counters.TxFrames.Load(), k.counters.TxBytes.Load(), k.counters.Drops()["port-down"]
	if frames != k.frames-lost || bytes != k.bytes-uint64(begun) || drops != lost || len(s.unsent) > 0 {
		t.Fatalf("%d frames, %d bytes and %d drops are counted, want %d, %d and %d", frames, bytes, drops, k.frames-lost, k.bytes-uint64(begun), lost)
	}
}
