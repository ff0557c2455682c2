package stack

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// The idle limits of a kept connection of which one direction has ended. Without them a peer that reads to the end and never closes would
// keep its place, although the target has long closed.

const (
	// maxPeerIdle is the time without data of the peer after the target has ended writing. The target has probably closed, and Linux
	// forgets such a connection after as long (tcp(7): tcp_fin_timeout).
	maxPeerIdle = 60 * time.Second

	// maxTargetIdle is the time without data of the target after the peer has ended writing. The peer waits for an answer, which may take
	// its time: Linux has no limit.
	maxTargetIdle = 15 * time.Minute
)

// A countingReader counts the reads that returned data.
type countingReader struct {
	io.Reader
	reads atomic.Uint64
}

// Read implements io.Reader.
func (r *countingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if n > 0 {
		r.reads.Add(1)
	}
	return n, err
}

// An idleLimit calls a function when a reader has returned no data for a time, which is exceeded by less than itself.
type idleLimit struct {
	mu    sync.Mutex
	timer tcpip.Timer // nil: stopped
}

func newIdleLimit(clock tcpip.Clock, limit time.Duration, r *countingReader, expire func()) *idleLimit {
	l := &idleLimit{}
	before := r.reads.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = clock.AfterFunc(limit, func() {
		if now := r.reads.Load(); now != before {
			before = now
			l.again(limit)
			return
		}
		expire()
	})
	return l
}

// again restarts the timer, unless it was stopped.
func (l *idleLimit) again(limit time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Reset(limit)
	}
}

func (l *idleLimit) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer.Stop()
	l.timer = nil
}
