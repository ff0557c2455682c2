package stack

import (
	"sync"

	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// The queue between netstack, which must not be blocked, and the switch's goroutine in Receive: a ring with a bound.

// queueLen is how many packets may wait. A send buffer of 1 MiB is 16 packets of 64 KiB, and 512 of them are what a few
// dozen busy connections send at once.
const queueLen = 512

// pushed is what became of a packet.
type pushed int

const (
	queueTook pushed = iota
	queueFull
	queueClosed
)

// queue holds a reference to each packet in it.
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

// push appends pkt and takes a reference to it.
func (q *queue) push(pkt *netstack.PacketBuffer) pushed {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return queueClosed
	case q.n == queueLen:
		return queueFull
	}
	q.ring[(q.first+q.n)%queueLen] = pkt.IncRef()
	q.n++
	if q.n == 1 {
		q.filled.Signal()
	}
	return queueTook
}

// pop waits for a packet and moves as many as there are, and as fit, to the front of batch. The caller gets their
// references. It returns 0 after close.
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

// close drops what is in the queue, returns how many packets that were, and ends pop. It is idempotent.
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
