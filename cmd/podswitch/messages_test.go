package main

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// TestMessages checks that messages are written in order, up to the flush.
func TestMessages(t *testing.T) {
	var out, want bytes.Buffer
	m := newMessages(&out)
	for i := range 100 {
		fmt.Fprintln(m, i)
		fmt.Fprintln(&want, i)
	}
	m.flush()
	if out.String() != want.String() {
		t.Errorf("written %q", out.String())
	}
	fmt.Fprintln(m, "after the end") // is lost
}

// A stuck writer blocks until forever is closed.
type stuck struct{ forever chan struct{} }

func (s stuck) Write([]byte) (int, error) { <-s.forever; return 0, nil }

// TestStuck checks that a blocked writer does not block the callers.
func TestStuck(t *testing.T) {
	s := stuck{make(chan struct{})}
	defer close(s.forever)
	m := newMessages(s)
	done := make(chan struct{})
	go func() {
		for range 10 * messageQueue {
			fmt.Fprintln(m, "line")
		}
		m.flush()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("writing or flushing waits for the reader")
	}
}

// TestQueuedBytes checks that a blocked writer bounds the memory of the queue, not only the number of its messages.
func TestQueuedBytes(t *testing.T) {
	s := stuck{make(chan struct{})}
	defer close(s.forever)
	m := newMessages(s)
	chunk := make([]byte, 32<<10)
	for range 10 * messageQueue {
		_, _ = m.Write(chunk)
	}
	if n := m.queued.Load(); n == 0 || n > messageBytes {
		t.Errorf("%d bytes are queued, want at most %d", n, messageBytes)
	}
	if n := len(m.queue); n > messageBytes/len(chunk) {
		t.Errorf("%d messages are queued", n)
	}
}
