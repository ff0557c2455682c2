//go:build kubernetes

package kubernetes

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// A stream is a TCP connection to the guest's echo server on which something is always under way.
type stream struct {
	t    *testing.T
	conn net.Conn

	mu      sync.Mutex
	last    time.Time     // of the last echo
	longest time.Duration // between two echoes
	err     error
}

// every is the time between two messages of a stream.
const every = 10 * time.Millisecond

func openStream(t *testing.T, from netns, address string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := from.dial(ctx, "tcp", net.JoinHostPort(address, "7"))
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, conn: conn, last: time.Now()}
	go s.send()
	go s.receive()
	t.Cleanup(func() { conn.Close() })
	return s
}

func (s *stream) send() {
	for range time.Tick(every) {
		if _, err := s.conn.Write([]byte("beat\n")); err != nil {
			s.fail(err)
			return
		}
	}
}

func (s *stream) receive() {
	buffer := make([]byte, 4096)
	for {
		if _, err := s.conn.Read(buffer); err != nil {
			s.fail(err)
			return
		}
		s.mu.Lock()
		s.longest, s.last = max(s.longest, time.Since(s.last)), time.Now()
		s.mu.Unlock()
	}
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, err)
}

// mark begins a new measurement.
func (s *stream) mark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.longest = 0
}

// gap waits until the stream flows, and returns the longest time without an echo since mark.
func (s *stream) gap() time.Duration {
	s.t.Helper()
	asked := time.Now()
	await(s.t, "the open connection", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err == nil && s.last.Before(asked.Add(5*every)) {
			return errUnready
		}
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		s.t.Errorf("the open connection has ended: %v", s.err)
	}
	return s.longest.Round(time.Millisecond)
}
