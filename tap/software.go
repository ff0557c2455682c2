package tap

import (
	"sync"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// softwareRoom is the room in bytes for segments on their way out: two of the largest frames, cut.
const softwareRoom = 2*vswitch.MaxFrame + 2*vswitch.MaxFrame/8

// A softwarePort is a port that takes no offloads: checksums are completed and segments cut before it sees a frame.
type softwarePort struct {
	vswitch.Port

	mu     sync.Mutex // guards the following
	room   []byte
	used   int
	pieces []vswitch.Frame
}

// Software wraps what an opener returned, so that frames leave complete: with checksums completed and segments cut. An error is
// handed on.
func Software(p vswitch.Port, err error) (vswitch.Port, error) {
	if err != nil {
		return nil, err
	}
	return &softwarePort{Port: p, room: make([]byte, softwareRoom)}, nil
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
	s.pieces, s.used = s.pieces[:0], 0
}
