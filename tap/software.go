package tap

import (
	"sync"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// softwareRoom is the room in bytes for segments on their way out: two of the largest frames, cut.
const softwareRoom = 2*vswitch.MaxFrame + 2*vswitch.MaxFrame/8

// A softwarePort is a port whose device takes no offloads: checksums are completed and segments cut before it sees a frame. What it
// receives is merged as at every port.
type softwarePort struct {
	mergingPort

	mu     sync.Mutex // guards the following
	room   []byte
	used   int
	pieces []vswitch.Frame
}

// WithSoftwareOffloads wraps a port so that frames leave complete, with checksums completed and segments cut, and that what it receives frame by
// frame goes on in one piece, as far as it says. The frames that the port receives lie in order, each with the room up to its capacity free but for the frames
// behind it.
func WithSoftwareOffloads(p vswitch.Port, merge Merging) vswitch.Port {
	return &softwarePort{mergingPort: mergingPort{p, merge}, room: make([]byte, softwareRoom)}
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

// cut appends the frames that f becomes on the wire.
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

func (s *softwarePort) flush() {
	if len(s.pieces) > 0 {
		s.Port.Transmit(s.pieces)
	}
	clear(s.pieces) // other ports may have lent them
	s.pieces, s.used = s.pieces[:0], 0
}
