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

// A lender is a port that receives what the test says, in whichever memory.
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

// lend fills a batch with n frames in memory of their own.
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

// TestLentMemory shows that nothing holds the memory of frames that have passed: that of a port which is lost, and comes back with
// fewer frames at once, would not be freed.
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
		t.Error("the memory of frames that have passed is held")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
