package oracle

import "github.com/podswitch/podswitch/vswitch"

// Room is the largest number of bytes of frames that a forwarder makes itself in one call: ARP, ICMP, fragments.
const Room = 2 * vswitch.BatchSize * vswitch.MaxFrame

// An Outcome is the result of one call of Forward or Tick.
type Outcome struct {
	Sent  []Sent
	Drops []Drop
	Used  int // calls of OnUse
	// NoRoom are frames that the switch could not make for lack of room. Ticks have no order of neighbours, so that any of these
	// may leave instead of others.
	NoRoom []Sent

	// For the balance: frames in + Made + frames held before = frames sent + drops + Noted + frames held after.
	Made  int // frames that the switch made: requests, errors, additional fragments, additional copies of a flood
	Noted int // ARP packets that updated the tables and were not forwarded
	room  int // bytes left for frames that the switch makes
}

// Sent is a frame that leaves at a port.
type Sent struct {
	Port  int
	Frame vswitch.Frame // read-only: the copies of a flood share memory
}

// Drop is a frame that was not delivered. It is counted at the port where it entered.
type Drop struct {
	Port   int
	Reason vswitch.Reason
}

func newOutcome() *Outcome { return &Outcome{room: Room} }

func (o *Outcome) send(port int, f vswitch.Frame) {
	o.Sent = append(o.Sent, Sent{port, f})
}

func (o *Outcome) drop(port int, r vswitch.Reason) { o.Drops = append(o.Drops, Drop{port, r}) }

// reserve reports whether there is room for a frame that the switch makes, and reserves it.
func (o *Outcome) reserve(n int) bool {
	if n > o.room {
		return false
	}
	o.room -= n
	return true
}
