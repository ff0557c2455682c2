package unixport

import (
	"bytes"
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

// TestSenderCut: wherever the kernel stops accepting bytes, the written and the unsent bytes together are whole frames.
func TestSenderCut(t *testing.T) {
	frames := []vswitch.Frame{{Data: frame(14, 1)}, {Data: frame(60, 2)}, {Data: frame(300, 3)}}
	stream := framed(frames[0].Data, frames[1].Data, frames[2].Data)
	for written := range len(stream) + 1 {
		counters := new(vswitch.Counters)
		s := newSender(counters)
		s.gather(frames)
		taken := s.advance(written, frames)
		var whole []byte
		for _, f := range frames[:taken] {
			whole = append(whole, framed(f.Data)...)
		}
		if got := append(bytes.Clone(stream[:written]), s.unsent...); !bytes.Equal(got, whole) {
			t.Fatalf("%d bytes written: %d frames taken and %d bytes left", written, taken, len(s.unsent))
		}
		for len(s.unsent) > 0 {
			if n := s.gather(frames[taken:]); n != 1+2*(len(frames)-taken) {
				t.Fatalf("%d pieces", n)
			}
			if more := s.advance(1, frames[taken:]); more != 0 {
				t.Fatal("another frame was begun before the rest was written")
			}
		}
		if got := counters.TxFrames.Load(); got != uint64(taken) {
			t.Fatalf("%d bytes written: %d frames counted, want %d", written, got, taken)
		}
	}
}
