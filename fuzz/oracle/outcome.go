package oracle

import "github.com/podswitch/podswitch/vswitch"

// Room is how many bytes of frames of its own a forwarder makes at most in one call: ARP, ICMP, fragments.
const Room = 2 * vswitch.MaxFrame

// An Outcome is what came of one call of Forward or Tick.
type Outcome struct {
	Sent  []Sent
	Drops []Drop
	Used  int // calls of OnUse
	// NoRoom are frames of the switch's own that there was no room for. In a tick, which goes through its neighbours in no
	// order, any of these may leave in place of others.
	NoRoom []Sent

	// What conservation needs: frames in + Made + frames held before = frames sent + drops + Noted + frames held after.
	Made  int // frames that the switch made: requests, errors, further fragments, further copies of a flood
	Noted int // ARP packets that told the switch something and went nowhere
	room  int // bytes left for frames of its own
}

// Sent is a frame that leaves at a port.
type Sent struct {
	Port  int
	Frame vswitch.Frame // only to be read: copies of a flood are one
}

// Drop is a frame that was not delivered; it is counted at the port where it came in.
type Drop struct {
	Port   int
	Reason vswitch.Reason
}

func newOutcome() *Outcome { return &Outcome{room: Room} }

func (o *Outcome) send(port int, f vswitch.Frame) {
	o.Sent = append(o.Sent, Sent{port, f})
}

func (o *Outcome) drop(port int, r vswitch.Reason) { o.Drops = append(o.Drops, Drop{port, r}) }

// take reserves room for a frame of the switch's own; without room there is no frame.
func (o *Outcome) take(n int) bool {
	if n > o.room {
		return false
	}
	o.room -= n
	return true
}
