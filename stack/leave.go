package stack

import (
	"container/list"
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
		t.endpoint.waiting.add(t.conn, &t.events)
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

// timeWaits are the connections in TIME-WAIT, the oldest first. The zero value is empty.
type timeWaits struct {
	mu   sync.Mutex
	list list.List // of *conn
}

// add remembers c until it leaves TIME-WAIT, of which events tell, and ends the one that has waited longest when there are too many.
func (w *timeWaits) add(c *conn, events *waiter.Queue) {
	place, oldest := w.enter(c)
	left := waiter.NewFunctionEntry(waiter.EventHUp, func(waiter.EventMask) { w.look(place) })
	events.EventRegister(&left)
	w.look(place) // it may have left before
	if oldest != nil && oldest.inTimeWait() {
		oldest.reset()
	}
}

// enter appends c, and removes the oldest one and returns it when there are too many.
func (w *timeWaits) enter(c *conn) (place *list.Element, oldest *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	place = w.list.PushBack(c)
	if w.list.Len() > maxTimeWait {
		oldest = w.list.Remove(w.list.Front()).(*conn)
	}
	return place, oldest
}

// look forgets the connection at a place that has left TIME-WAIT.
func (w *timeWaits) look(place *list.Element) {
	if !place.Value.(*conn).inTimeWait() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.list.Remove(place) // which does nothing a second time
	}
}
