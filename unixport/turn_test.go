package unixport

import (
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// alwaysReady adds a function to a loop that always has data, waits until it has begun, and returns the counter of its turns.
func alwaysReady(t *testing.T, l *descriptor.Loop) *atomic.Int64 {
	t.Helper()
	fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	d, err := descriptor.New(fd)
	if err != nil {
		t.Fatal(err)
	}
	turns, begun, ended := new(atomic.Int64), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		l.Do(func(turn *descriptor.Turn) {
			d.SetTurn(turn)
			for d.Receive(func(uintptr) bool { return true }) == nil {
				if turns.Add(1) == 2 {
					close(begun)
				}
			}
		})
	}()
	t.Cleanup(func() { d.Close(); <-ended })
	<-begun
	return turns
}

// TestStreamTakesTurns has a peer with many queued frames: the other functions have a turn between any two of its batches.
func TestStreamTakesTurns(t *testing.T) {
	l, err := descriptor.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	turns := alwaysReady(t, l)
	fd, conn := socketpair(t, unix.SOCK_STREAM)
	var out []byte
	for i := range 2000 {
		out = append(out, framed(frame(headerLen, i))...)
	}
	send(t, conn, out)
	p, err := openFD(fd, new(vswitch.Counters), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l.Do(func(turn *descriptor.Turn) {
		setTurn(p, turn)
		batch, before := make([]vswitch.Frame, vswitch.BatchSize), int64(0)
		for got := 0; got < 2000; {
			n, err := p.Receive(batch)
			if err != nil {
				t.Errorf("Receive: %v", err)
				return
			}
			now := turns.Load()
			if now == before {
				t.Errorf("no other function had a turn between the frames %d and %d", got, got+n)
				return
			}
			got, before = got+n, now
		}
	})
}
