package tap

import (
	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A Merging says what of what a port receives is merged.
type Merging uint8

// What is merged. The zero value is nothing.
const (
	MergeNothing   Merging = iota
	MergeSegments          // segments of a TCP stream
	MergeDatagrams         // these, and UDP datagrams of a flow
)

// A mergingPort merges what it receives: frames of one batch that continue one another go on as one, with what is to be cut where it
// leaves. Nothing waits for more to merge: who receives one frame alone gets it alone. What was merged counts as one frame, as
// what the device has merged itself does.
type mergingPort struct {
	vswitch.Port
	what Merging
}

// Interrupt implements vswitch.Interrupter.
func (m *mergingPort) Interrupt() { interrupt(m.Port) }

// Discard drops what has arrived at the port inside. It must not be called beside Receive.
func (m *mergingPort) Discard(reason vswitch.Reason) { discard(m.Port, reason) }

// SetTurn implements turnTaker.
func (m *mergingPort) SetTurn(t *descriptor.Turn) { setTurn(m.Port, t) }

// Unwrap returns the port inside.
func (m *mergingPort) Unwrap() vswitch.Port { return m.Port }

// Receive implements vswitch.Port. The frames of the port inside lie in order, each with the room up to its capacity free but for the
// frames behind it.
func (m *mergingPort) Receive(batch []vswitch.Frame) (int, error) {
	n, err := m.Port.Receive(batch)
	if n < 2 || m.what == MergeNothing {
		return n, err
	}
	left := m.merge(batch[:n])
	clear(batch[left:n]) // a port that is lost leaves with its memory
	return left, err
}

// merge merges frames that continue one another, and returns how many are left.
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
