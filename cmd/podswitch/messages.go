package main

import (
	"io"
	"sync/atomic"
	"time"
)

// Limits for a slow reader of stderr. The messages of a switch that was broken into pass through the keeper's queue too.
const (
	messageQueue = 1024                   // messages
	messageBytes = 1 << 20                // of all messages in the queue
	flushTimeout = 250 * time.Millisecond // at exit
)

// messages writes to stderr without blocking the caller: a stopped terminal or a log collector that hangs must not delay the
// give-back of the pod address. It drops messages when its queue is full.
type messages struct {
	queue  chan []byte   // nil marks the end
	queued atomic.Int64  // bytes in the queue
	ended  chan struct{} // closed when everything before the end is written
}

func newMessages(w io.Writer) *messages {
	m := &messages{queue: make(chan []byte, messageQueue), ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		for line := <-m.queue; line != nil; line = <-m.queue {
			_, _ = w.Write(line) // an error of stderr cannot be reported anywhere
			m.queued.Add(-int64(len(line)))
		}
	}()
	return m
}

// Write implements io.Writer. It always succeeds, and does not retain b.
func (m *messages) Write(b []byte) (int, error) {
	if m.queued.Add(int64(len(b))) <= messageBytes {
		select {
		case m.queue <- append([]byte{}, b...):
			return len(b), nil
		default: // the queue is full
		}
	}
	m.queued.Add(-int64(len(b)))
	return len(b), nil
}

// flush waits until the queue is written, for at most flushTimeout. Later messages are lost.
func (m *messages) flush() {
	timer := time.NewTimer(flushTimeout)
	defer timer.Stop()
	select {
	case m.queue <- nil:
	case <-timer.C:
		return
	}
	select {
	case <-m.ended:
	case <-timer.C:
	}
}
