package vswitchtest_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	"github.com/podswitch/podswitch/vswitch/vswitchtest"
)

func frame(text string) vswitch.Frame {
	return vswitch.Frame{Offload: vnet.Header{Flags: vnet.FlagDataValid}, Data: []byte(text)}
}

// Receive returns the available frames in order, as many as the batch holds. They are valid until the next Receive only.
func TestReceive(t *testing.T) {
	p := vswitchtest.NewPort(8)
	mine := frame("first")
	if !p.Inject(mine, frame("second"), frame("third")) {
		t.Fatal("Inject on an open port reports false")
	}
	mine.Data[0] = 'X' // a copy was injected
	batch := make([]vswitch.Frame, 2)
	n, err := p.Receive(batch)
	if err != nil || n != 2 {
		t.Fatalf("Receive = %d, %v; want 2 frames", n, err)
	}
	if diff := cmp.Diff([]vswitch.Frame{frame("first"), frame("second")}, batch); diff != "" {
		t.Errorf("first batch (-want +got):\n%s", diff)
	}
	kept := batch[0].Data
	if n, err := p.Receive(batch); err != nil || n != 1 || string(batch[0].Data) != "third" {
		t.Errorf("Receive = %d, %v, %q; want 1 frame %q", n, err, batch[0].Data, "third")
	}
	if string(kept) == "first" {
		t.Error("Receive does not overwrite the frames of the previous batch")
	}
}

// Close, Interrupt and Lose unblock Receive.
func TestReceiveEnds(t *testing.T) {
	removed := errors.New("device removed")
	for name, test := range map[string]struct {
		end  func(p *vswitchtest.Port)
		want error
	}{
		"close":          {func(p *vswitchtest.Port) { p.Close(); p.Close() }, net.ErrClosed},
		"interrupt":      {func(p *vswitchtest.Port) { p.Interrupt(); p.Interrupt(); p.Close() }, net.ErrClosed},
		"lose":           {func(p *vswitchtest.Port) { p.Lose(removed); p.Lose(errors.New("again")) }, removed},
		"lose and close": {func(p *vswitchtest.Port) { p.Close(); p.Lose(removed) }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			p := vswitchtest.NewPort(1)
			ended := make(chan error)
			go func() {
				_, err := p.Receive(make([]vswitch.Frame, 1))
				ended <- err
			}()
			test.end(p)
			if err := <-ended; !errors.Is(err, test.want) {
				t.Errorf("Receive = %v, want %v", err, test.want)
			}
			if _, err := p.Receive(make([]vswitch.Frame, 1)); !errors.Is(err, test.want) {
				t.Errorf("next Receive = %v, want %v", err, test.want)
			}
			if p.Inject(frame("a"), frame("b"), frame("c")) {
				t.Error("Inject reports true for frames that no Receive will return")
			}
		})
	}
}

// An interrupted port receives no frames and still transmits. The port that Again returns has the frames of both queues.
func TestAgain(t *testing.T) {
	p := vswitchtest.NewPort(2)
	p.Interrupt()
	if !p.Inject(frame("in")) {
		t.Error("Inject on an interrupted port reports false")
	}
	batch := make([]vswitch.Frame, 1)
	if n, err := p.Receive(batch); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive = %d, %v; want %v", n, err, net.ErrClosed)
	}
	p.Transmit([]vswitch.Frame{frame("out")})
	if p.Counters().TxFrames.Load() != 1 || p.IsClosed() {
		t.Error("an interrupted port does not transmit")
	}
	next := p.Again()
	p.Close()
	if n, err := next.Receive(batch); n != 1 || err != nil || string(batch[0].Data) != "in" {
		t.Errorf("Receive = %d, %v, %q; want the frame", n, err, batch[0].Data)
	}
	if f, ok := next.TryNext(); !ok || string(f.Data) != "out" {
		t.Errorf("TryNext = %q, %v; want the frame", f.Data, ok)
	}
}

// Transmit counts a drop for each frame beyond the queue, and for each frame after Close.
func TestTransmit(t *testing.T) {
	p := vswitchtest.NewPort(1)
	if _, ok := p.TryNext(); ok {
		t.Error("a new port has a frame")
	}
	mine := frame("one")
	p.Transmit([]vswitch.Frame{mine, frame("two")})
	mine.Data[0] = 'X'
	p.Close()
	p.Transmit([]vswitch.Frame{frame("three")})
	if got, err := p.Next(t.Context()); err != nil || !cmp.Equal(got, frame("one")) {
		t.Errorf("Next = %q, %v; want %q", got.Data, err, "one")
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Next(done); !errors.Is(err, context.Canceled) {
		t.Errorf("Next = %v, want the context's error", err)
	}
	want := map[string]uint64{"port-full": 1, "port-down": 1}
	if diff := cmp.Diff(want, p.Counters().Drops()); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
	if n, bytes := p.Counters().TxFrames.Load(), p.Counters().TxBytes.Load(); n != 1 || bytes != 3 {
		t.Errorf("sent %d frames, %d bytes; want 1 and 3", n, bytes)
	}
}
