package stack

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// The end of a connection. Closing one hands it to netstack, which goes on to send what is not acknowledged yet, for a quarter
// of an hour to a peer that has gone silent, and remembers it in TIME-WAIT after that. A peer that never acknowledges could
// pile up send buffers in this way. So a connection keeps its place until netstack needs its buffers no more, and only a
// bounded number of those that have ended is remembered.

// leaveTimeout is how long a closed connection may take to deliver what it has left to say, and to see the peer's end, before it
// is reset: a buffer of 1 MiB at 140 kbit/s.
const leaveTimeout = 60 * time.Second

// maxTimeWait bounds the connections in TIME-WAIT of one endpoint; the oldest one beyond it is forgotten, as Linux does
// beyond tcp_max_tw_buckets (tcp(7)).
const maxTimeWait = 1024

// leave waits until an accepted connection, which its service has closed, has nothing left to deliver.
func (t *attempt) leave() {
	if t.conn == nil {
		return
	}
	ended, hungUp := waiter.NewChannelEntry(waiter.EventHUp)
	t.events.EventRegister(&ended)
	defer t.events.EventUnregister(&ended)
	expired := make(chan struct{})
	giveUp := t.endpoint.stack.Clock().AfterFunc(leaveTimeout, func() { close(expired) })
	defer giveUp.Stop()
	for !t.conn.delivered() {
		select {
		case <-hungUp:
		case <-expired:
			t.conn.reset()
			return
		case <-t.endpoint.ctx.Done():
			t.conn.reset()
			return
		}
	}
	if t.conn.inTimeWait() {
		t.endpoint.waiting.add(t.conn)
	}
}

// delivered tells whether netstack has nothing more to send on c than answers to stray segments.
func (c *conn) delivered() bool {
	switch tcp.EndpointState(c.socket.State()) {
	case tcp.StateTimeWait, tcp.StateClose, tcp.StateError:
		return true
	}
	return false
}

func (c *conn) inTimeWait() bool { return tcp.EndpointState(c.socket.State()) == tcp.StateTimeWait }

// timeWaits are the connections that were last in TIME-WAIT, some of which have left it since. The zero value is empty.
type timeWaits struct {
	mu     sync.Mutex
	ring   []*conn
	oldest int
}

// add remembers c, and ends the one that has waited longest when there are too many.
func (w *timeWaits) add(c *conn) {
	w.mu.Lock()
	if len(w.ring) < maxTimeWait {
		w.ring = append(w.ring, c)
		w.mu.Unlock()
		return
	}
	old := w.ring[w.oldest]
	w.ring[w.oldest] = c
	w.oldest = (w.oldest + 1) % maxTimeWait
	w.mu.Unlock()
	if old.inTimeWait() {
		old.reset()
	}
}
