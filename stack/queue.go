package stack

import (
	"sync"

	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// The queue between netstack, which must not block, and the goroutine of the switch in Receive: a bounded ring.

// queueLen is the capacity in packets. A send buffer of 1 MiB is 16 packets of 64 KiB, so the queue holds the buffers of a few dozen busy
// connections.
const queueLen = 512

// A pushResult is the outcome of push.
type pushResult int

const (
	pushDone pushResult = iota
	pushFull
	pushClosed
)

// A queue holds a reference to each of its packets.
type queue struct {
	mu     sync.Mutex
	filled sync.Cond // n > 0, or closed
	ring   [queueLen]*netstack.PacketBuffer
	first  int
	n      int
	closed bool
}

func newQueue() *queue {
	q := &queue{}
	q.filled.L = &q.mu
	return q
}

// push appends pkt and a reference to it.
func (q *queue) push(pkt *netstack.PacketBuffer) pushResult {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return pushClosed
	case q.n == queueLen:
		return pushFull
	}
	q.ring[(q.first+q.n)%queueLen] = pkt.IncRef()
	q.n++
	if q.n == 1 {
		q.filled.Signal()
	}
	return pushDone
}

// pop waits for a packet and moves packets to batch, with their references, until the queue is empty or batch is full. It returns their
// number: 0 after close.
func (q *queue) pop(batch []*netstack.PacketBuffer) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.n == 0 && !q.closed {
		q.filled.Wait()
	}
	n := min(q.n, len(batch))
	for i := range n {
		batch[i] = q.ring[q.first]
		q.ring[q.first] = nil
		q.first = (q.first + 1) % queueLen
	}
	q.n -= n
	return n
}

// close releases the packets in the queue, returns their number, and ends pop. It is idempotent.
func (q *queue) close() (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	dropped = q.n
	for ; q.n > 0; q.n-- {
		q.ring[q.first].DecRef()
		q.ring[q.first] = nil
		q.first = (q.first + 1) % queueLen
	}
	q.filled.Broadcast()
	return dropped
}
