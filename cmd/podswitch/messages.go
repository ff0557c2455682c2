package main

import (
	"io"
	"time"
)

// Bounds of what waits for a slow reader of our messages.
const (
	messageQueue = 1024
	flushTimeout = 250 * time.Millisecond // at the end
)

// messages write to stderr without ever waiting for it: a terminal that is stopped, or a collector that hangs, must not keep
// the pod's address from being given back. What does not fit is lost.
type messages struct {
	queue chan []byte   // nil is the last one
	ended chan struct{} // closed when the last one is written
}

func newMessages(w io.Writer) *messages {
	m := &messages{queue: make(chan []byte, messageQueue), ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		for line := <-m.queue; line != nil; line = <-m.queue {
			_, _ = w.Write(line) // nobody is left to tell
		}
	}()
	return m
}

// Write implements io.Writer. It never fails, and keeps no reference to b.
func (m *messages) Write(b []byte) (int, error) {
	select {
	case m.queue <- append([]byte{}, b...):
	default: // the reader is too slow
	}
	return len(b), nil
}

// flush waits a moment until everything is written; what is written after it is lost.
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
