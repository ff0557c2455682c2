package stack

import (
	"container/list"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// The end of a connection. After Close, netstack retransmits unacknowledged data for a quarter of an hour, and then keeps the connection
// in TIME-WAIT. A peer that never acknowledges could make it hold any number of send buffers. A connection therefore occupies its slot
// until netstack needs its buffers no longer, and the connections in TIME-WAIT are bounded.

// closeTimeout bounds the time that a closed connection may take to deliver its data and to receive the peer's FIN; then it is reset. It
// suffices for a buffer of 1 MiB at 140 kbit/s.
const closeTimeout = 60 * time.Second

// maxTimeWait bounds the connections of one endpoint in TIME-WAIT. Beyond it the oldest one is destroyed, as Linux does beyond
// tcp_max_tw_buckets (tcp(7)).
const maxTimeWait = 1024

// awaitClose waits until an accepted connection, which its service has closed, has delivered its data.
func (t *attempt) awaitClose() {
	if t.conn == nil {
		return
	}
	ended, hungUp := waiter.NewChannelEntry(waiter.EventHUp)
	t.events.EventRegister(&ended)
	defer t.events.EventUnregister(&ended)
	expired := make(chan struct{})
	timeout := t.endpoint.stack.Clock().AfterFunc(closeTimeout, func() { close(expired) })
	defer timeout.Stop()
	for !t.conn.isDelivered() {
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
		t.endpoint.timeWaits.add(t.conn, &t.events)
	}
}

// isDelivered reports whether netstack has no more to send on c than answers to stray segments.
func (c *conn) isDelivered() bool {
	switch tcp.EndpointState(c.socket.State()) {
	case tcp.StateTimeWait, tcp.StateClose, tcp.StateError:
		return true
	}
	return false
}

func (c *conn) inTimeWait() bool { return tcp.EndpointState(c.socket.State()) == tcp.StateTimeWait }

// timeWaits are the connections in TIME-WAIT, the oldest first. The zero value is empty.
type timeWaits struct {
	mu   sync.Mutex
	list list.List // of *conn
}

// add stores c until it leaves TIME-WAIT, which events reports, and destroys the oldest connection if there are too many.
func (w *timeWaits) add(c *conn, events *waiter.Queue) {
	place, oldest := w.enter(c)
	left := waiter.NewFunctionEntry(waiter.EventHUp, func(waiter.EventMask) { w.removeIfOver(place) })
	events.EventRegister(&left)
	w.removeIfOver(place) // it may have left before the registration
	if oldest != nil && oldest.inTimeWait() {
		oldest.reset()
	}
}

// enter appends c. If there are too many, it removes the oldest connection and returns it.
func (w *timeWaits) enter(c *conn) (place *list.Element, oldest *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	place = w.list.PushBack(c)
	if w.list.Len() > maxTimeWait {
		oldest = w.list.Remove(w.list.Front()).(*conn)
	}
	return place, oldest
}

// removeIfOver removes the connection at a place if it has left TIME-WAIT.
func (w *timeWaits) removeIfOver(place *list.Element) {
	if !place.Value.(*conn).inTimeWait() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.list.Remove(place) // a second Remove has no effect
	}
}
