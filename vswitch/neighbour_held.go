package vswitch

import (
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
)

// A heldFrame is a copy of a frame that waits for a neighbour.
type heldFrame struct {
	Frame
	port int       // where the frame entered
	in   *Counters // of that port; nil for a frame that came with a state
}

// hold keeps a copy of the frame until the neighbour has answered. If the answer has come since the lookup, hold returns it.
func (n *neighbours) hold(port int, ip lookup.Key, f *Frame, now time.Duration, out *Out) (MAC, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, found, _, ok := n.table.Find(ip); ok {
		return neighbourValue(found).mac(), true
	}
	q := n.askLocked(port, ip, Broadcast, now, out)
	if q == nil {
		out.Drop(NeighbourQueue)
		return MAC{}, false
	}
	memory := n.makeQueueRoomLocked(ip, q, f.Data, out)
	if n.heldBytes+costOf(f.Data) > heldByteLimit && !n.gateways[ip] {
		out.Drop(NeighbourQueue)
		return MAC{}, false
	}
	q.add(n, heldFrame{Frame{f.Offload, append(memory, f.Data...)}, port, out.in})
	return MAC{}, false
}

// costOf returns the cost of a frame that waits.
func costOf(data []byte) int { return len(data) + heldFrameCost }

func (q *question) add(n *neighbours, f heldFrame) {
	q.frames = append(q.frames, f)
	q.cost += costOf(f.Data)
	n.heldBytes += costOf(f.Data)
}

// makeQueueRoomLocked drops the oldest frames of a question until data fits as another one, or none are left. It returns the memory of a
// dropped frame for data if that has about its size: a guest may send to an absent neighbour at any rate.
func (n *neighbours) makeQueueRoomLocked(ip lookup.Key, q *question, data []byte, out *Out) (memory []byte) {
	cost := costOf(data)
	for len(q.frames) > 0 && (q.cost+cost > heldQueueLimit || n.heldBytes+cost > heldByteLimit && !n.gateways[ip]) {
		oldest := q.removeOldest(n)
		oldest.counters(out).Drop(NeighbourQueue, 1)
		if isMemoryFor(oldest.Data, len(data)) {
			memory = oldest.Data[:0]
		}
	}
	return memory
}

// isMemoryFor reports whether a frame of the given size may have the memory of b. The cost of a frame follows from its size, so the memory
// must be as large as new memory would be: the allocator rounds up by a quarter at most.
func isMemoryFor(b []byte, size int) bool { return size <= cap(b) && cap(b) <= size+size/4 }

// removeOldest removes the oldest frame. The slice moves to memory of its size when more of its memory is unused than used.
func (q *question) removeOldest(n *neighbours) heldFrame {
	oldest := q.frames[0]
	q.frames[0], q.frames = heldFrame{}, q.frames[1:]
	q.gone++
	if q.gone > len(q.frames)+goneLimit {
		q.frames, q.gone = append([]heldFrame(nil), q.frames...), 0
	}
	q.cost -= costOf(oldest.Data)
	n.heldBytes -= costOf(oldest.Data)
	return oldest
}

// counters returns those of the port where the frame entered.
func (f *heldFrame) counters(out *Out) *Counters {
	if f.in == nil {
		f.in = out.at(f.port)
	}
	return f.in
}

// releaseLocked ends the question about ip and sends the frames that waited for its MAC.
func (n *neighbours) releaseLocked(ip lookup.Key, q *question, mac MAC, out *Out) {
	if q == nil {
		return
	}
	n.endLocked(ip, q)
	for _, f := range q.frames {
		packet.SetMACs(f.Data, mac, n.mac)
		out.Send(PortUplink, f.Frame)
	}
}
