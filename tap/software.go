package tap

import (
	"sync"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// softwareRoom is the room in bytes for segments on their way out: two of the largest frames, cut.
const softwareRoom = 2*vswitch.MaxFrame + 2*vswitch.MaxFrame/8

// A softwarePort is a port whose device takes and gives no offloads: checksums are completed and segments cut before it sees a frame,
// and the segments of a TCP stream that it received one by one go on in one piece.
type softwarePort struct {
	vswitch.Port

	mu     sync.Mutex // guards the following
	room   []byte
	used   int
	pieces []vswitch.Frame
}

// Software wraps what an opener returned, so that frames leave complete: with checksums completed and segments cut. The frames
// that the port receives lie in order, each with the room up to its capacity free but for the frames behind it. An error is
// handed on.
func Software(p vswitch.Port, err error) (vswitch.Port, error) {
	if err != nil {
		return nil, err
	}
	return &softwarePort{Port: p, room: make([]byte, softwareRoom)}, nil
}

// Interrupt implements vswitch.Interrupter.
func (s *softwarePort) Interrupt() { interrupt(s.Port) }

// Discard drops what has arrived at the port inside. It must not be called beside Receive.
func (s *softwarePort) Discard(reason vswitch.Reason) { discard(s.Port, reason) }

// Unwrap returns the port without what the software does.
func (s *softwarePort) Unwrap() vswitch.Port { return s.Port }

// Receive implements vswitch.Port.
func (s *softwarePort) Receive(batch []vswitch.Frame) (int, error) {
	n, err := s.Port.Receive(batch)
	if n < 2 {
		return n, err
	}
	return merge(batch[:n]), err
}

// merge merges frames that continue one another, and returns how many are left.
func merge(batch []vswitch.Frame) int {
	n := 0
	for at := 0; at < len(batch); n++ {
		f, taken := mergeRun(batch[at:])
		batch[n] = f
		at += taken
	}
	return n
}

// mergeRun returns the first frame with those that continue it, and how many it was made of.
func mergeRun(frames []vswitch.Frame) (vswitch.Frame, int) {
	plain := vnet.Header{}
	if frames[0].Offload != plain {
		return frames[0], 1
	}
	var run vnet.Run
	run.Start(frames[0].Data)
	taken := 1
	for taken < len(frames) && frames[taken].Offload == plain && run.Add(frames[taken].Data) {
		taken++
	}
	header, data := run.Frame()
	return vswitch.Frame{Offload: header, Data: data}, taken
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
