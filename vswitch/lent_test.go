package vswitch_test

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/podswitch/podswitch/vswitch"
	"github.com/podswitch/podswitch/vswitch/vswitchtest"
)

// A lender is a port that receives batches from the test, in the test's memory.
type lender struct {
	*vswitchtest.Port
	batches chan []vswitch.Frame
}

func (l lender) Receive(batch []vswitch.Frame) (int, error) {
	frames, open := <-l.batches
	if !open {
		return 0, net.ErrClosed
	}
	return copy(batch, frames), nil
}

func (l lender) Close() error {
	close(l.batches)
	return nil
}

func (l lender) Interrupt() { close(l.batches) }

// lend queues a batch of n frames in newly allocated memory.
func (l lender) lend(t *testing.T, n int) weak.Pointer[[vswitch.MaxFrame]byte] {
	t.Helper()
	memory := new([vswitch.MaxFrame]byte)
	frame := shorthand(t, "02:..:01 > 02:..:02 ipv6")
	frame.Data = memory[:copy(memory[:], frame.Data)]
	frames := make([]vswitch.Frame, n)
	for i := range frames {
		frames[i] = frame
	}
	l.batches <- frames
	return weak.Make(memory)
}

// TestLentMemory shows that a switch does not keep the memory of frames after they were transmitted. Otherwise the memory of a lost port would
// not be freed while smaller batches follow.
func TestLentMemory(t *testing.T) {
	l, other := lender{vswitchtest.NewPort(1024), make(chan []vswitch.Frame)}, vswitchtest.NewPort(1024)
	began := time.Now()
	s := vswitch.New(newBridge(2), func() time.Duration { return time.Since(began) }, l, other)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	before := l.lend(t, vswitch.BatchSize)
	l.lend(t, 1) // the batch before has passed
	runtime.GC()
	if before.Value() != nil {
		t.Error("the switch keeps the memory of transmitted frames")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
