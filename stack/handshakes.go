package stack

import (
	"container/list"
	"sync"
)

// Unfinished handshakes. A SYN with a forged source address is never followed by an ACK, so a flood of them must not shut out others:
// when there are too many unfinished handshakes, the oldest one makes room. A client whose ACK arrives before as many SYNs as there is
// room for is served. Netstack's SYN cookies would need a listening socket, which accepts before the target has.

const (
	// maxHandshakes bounds the unfinished handshakes of one port, and maxClientHandshakes those of one source address.
	maxHandshakes       = 256
	maxClientHandshakes = 64

	// maxEagerDials bounds the unfinished handshakes whose target is dialled before the SYN is answered. Beyond it, the handshake comes
	// first: a flood of SYNs must not become a flood of connections to the target.
	maxEagerDials = 32
)

// handshakes are the unfinished handshakes of one port, the oldest first. The zero value is empty.
type handshakes struct {
	isShared bool // whether maxClientHandshakes applies

	mu   sync.Mutex
	list list.List // of *attempt
}

// enter adds an attempt, and evicts another one if there are too many. It reports whether the target may be dialled before the SYN is
// answered.
func (h *handshakes) enter(t *attempt) (isEager bool) {
	h.mu.Lock()
	evicted := h.surplus(t)
	if evicted != nil {
		h.list.Remove(evicted.place)
	}
	t.place = h.list.PushBack(t)
	isEager = h.list.Len() <= maxEagerDials
	h.mu.Unlock()
	if evicted != nil {
		evicted.evict()
	}
	return isEager
}

// leave removes an attempt whose handshake has ended. It is idempotent.
func (h *handshakes) leave(t *attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list.Remove(t.place)
}

// surplus returns the attempt that makes room for t: the oldest of its client, or of all; nil if there is room.
func (h *handshakes) surplus(t *attempt) *attempt {
	if h.list.Len() >= maxHandshakes {
		return h.list.Front().Value.(*attempt)
	}
	if !h.isShared {
		return nil
	}
	var oldest *attempt
	n := 0
	for e := h.list.Front(); e != nil; e = e.Next() {
		if other := e.Value.(*attempt); other.client == t.client {
			if oldest == nil {
				oldest = other
			}
			n++
		}
	}
	if n < maxClientHandshakes {
		return nil
	}
	return oldest
}
