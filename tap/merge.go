package tap

import (
	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A Merging says which received frames a port merges.
type Merging uint8

// The values of Merging; each includes the one before it.
const (
	MergeNothing   Merging = iota
	MergeSegments          // segments of one TCP connection
	MergeDatagrams         // and UDP datagrams of one flow
)

// A mergingPort merges frames that continue one another into one frame, which the egress port segments. A sender without offloads
// therefore costs the rest of the path one frame instead of many.
//
//  1. Receive takes one batch of the inner port. It never waits for more frames: a frame that arrives alone passes at once, and merging
//     adds no delay.
//  2. merge walks through the batch once. vnet.Run starts a run with a frame, and adds each following frame that continues it: same
//     flow, next sequence number, same size except the last, headers that segmentation restores.
//  3. A run of several frames becomes one frame, in place: each payload moves behind the one before it, over the headers between them.
//     Segmentation restores the original frames byte for byte.
//
// A merged frame counts as one received frame, as one that the device has merged itself.
type mergingPort struct {
	vswitch.Port
	what  Merging
	drops *dropCollector
}

// Counters implements vswitch.Port. It adds the frames that the device's own queue has dropped since the last call.
func (m *mergingPort) Counters() *vswitch.Counters {
	c := m.Port.Counters()
	m.drops.collect(c)
	return c
}

// Interrupt implements vswitch.Interrupter.
func (m *mergingPort) Interrupt() { interrupt(m.Port) }

// Discard implements discarder.
func (m *mergingPort) Discard(reason vswitch.Reason) { discard(m.Port, reason) }

// SetTurn implements turnTaker.
func (m *mergingPort) SetTurn(t *descriptor.Turn) { setTurn(m.Port, t) }

// Unwrap returns the inner port.
func (m *mergingPort) Unwrap() vswitch.Port { return m.Port }

// Receive implements vswitch.Port. The inner port's frames must lie in ascending order in one buffer, and the bytes up to the capacity of
// a frame must be free, except for the frames behind it.
func (m *mergingPort) Receive(batch []vswitch.Frame) (int, error) {
	n, err := m.Port.Receive(batch)
	if n < 2 || m.what == MergeNothing {
		return n, err
	}
	left := m.merge(batch[:n])
	clear(batch[left:n]) // otherwise the batch would keep the memory of a port that has been replaced
	return left, err
}

// merge merges runs of frames in place, and returns the number of frames that are left.
func (m *mergingPort) merge(batch []vswitch.Frame) int {
	run := vnet.Run{Datagrams: m.what == MergeDatagrams}
	n := 0
	for at := 0; at < len(batch); n++ {
		first := at
		run.Start(batch[at].Offload, batch[at].Data)
		for at++; at < len(batch) && run.Add(batch[at].Offload, batch[at].Data); {
			at++
		}
		if n < first || at > first+1 {
			batch[n].Offload, batch[n].Data = run.Frame()
		}
	}
	return n
}
