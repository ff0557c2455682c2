package tap

import (
	"sync"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// softwareRoom is the size in bytes of the buffer for segments: those of two of the largest frames, with an eighth more for their
// headers.
const softwareRoom = 2*vswitch.MaxFrame + 2*vswitch.MaxFrame/8

// A softwarePort is a port whose device has no offloads: Transmit completes checksums and cuts segments before the device's port gets a
// frame. Receive merges frames.
type softwarePort struct {
	mergingPort

	mu     sync.Mutex // guards the following
	room   []byte
	used   int
	pieces []vswitch.Frame
}

// WithSoftwareOffloads returns a port that completes checksums and cuts segments in software before p transmits a frame, and merges
// the frames that p receives. It owns p. The frames that p receives must lie in ascending order in one buffer, and the bytes up to the
// capacity of a frame must be free, except for the frames behind it.
func WithSoftwareOffloads(p vswitch.Port, merge Merging) vswitch.Port {
	return newSoftwarePort(p, merge, nil)
}

func newSoftwarePort(p vswitch.Port, merge Merging, drops *dropCollector) *softwarePort {
	return &softwarePort{mergingPort: mergingPort{p, merge, drops}, room: make([]byte, softwareRoom)}
}

// Transmit implements vswitch.Port.
func (s *softwarePort) Transmit(batch []vswitch.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range batch {
		if f := &batch[i]; f.Offload.Flags&vnet.FlagNeedsChecksum == 0 && f.Offload.GSOType == vnet.GSONone {
			s.pieces = append(s.pieces, vswitch.Frame{Data: f.Data})
		} else {
			s.cut(f)
		}
	}
	s.flush()
}

// cut appends the frames that f becomes on the wire. It transmits the pieces so far when the buffer is full.
func (s *softwarePort) cut(f *vswitch.Frame) {
	wireLen := vnet.WireLen(f.Offload, f.Data)
	segments := vnet.Cut(f.Offload, f.Data)
	for {
		if len(s.room)-s.used < wireLen {
			s.flush()
		}
		n := segments.Next(s.room[s.used:])
		if n == 0 {
			return
		}
		s.pieces = append(s.pieces, vswitch.Frame{Data: s.room[s.used : s.used+n]})
		s.used += n
	}
}

// flush transmits the pieces.
func (s *softwarePort) flush() {
	if len(s.pieces) > 0 {
		s.Port.Transmit(s.pieces)
	}
	clear(s.pieces) // they may be other ports' memory
	s.pieces, s.used = s.pieces[:0], 0
}
