package tap

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// reopening returns a reattaching port that gets its next device's port from a channel, and reports a loss.
func reopening(first vswitch.Port) (p vswitch.Port, next chan<- vswitch.Port, lost <-chan error) {
	devices, causes := make(chan vswitch.Port), make(chan error, 1)
	return NewReattaching(first, first.Counters(), Reattach{
		Reopen: func(ctx context.Context) (vswitch.Port, error) {
			select {
			case p := <-devices:
				return p, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		Lost: func(cause error) { causes <- cause },
	}), devices, causes
}

// TestShare switches between a tap and a packet socket in one thread: both ways, while the tap is detached, and after it is back.
func TestShare(t *testing.T) {
	for _, offload := range []bool{true, false} {
		inNamespace(t, func(t *testing.T) {
			veth(t, "1500")
			outside, inside := open(t, Spec{KindPacket, "v0"}, offload), open(t, Spec{KindPacket, "v1"}, offload)
			device := open(t, Spec{KindTap, "tap9"}, offload)
			ip(t, "link set tap9 up")
			guest := open(t, Spec{KindPacket, "tap9"}, offload)
			a, _, _ := reopening(inside)
			b, next, lost := reopening(device)
			threads, err := ShareThreads([]vswitch.Port{a, b})
			if err != nil || len(threads) != 1 {
				t.Fatalf("%d threads, %v; want one", len(threads), err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			bridge := vswitch.NewBridge(vswitch.BridgeConfig{Ports: 2, Ageing: time.Minute, Limit: 8, Upstream: -1})
			go func() { ended <- vswitch.New(bridge, func() time.Duration { return 0 }, a, b).Run(ctx) }()
			for _, size := range []int{60, 1500, 61} {
				passes(t, outside, guest, size)
				passes(t, guest, outside, size)
			}
			ip(t, "link del tap9")
			if cause := <-lost; cause == nil {
				t.Error("lost for no cause")
			}
			for down := b.Counters().Drops()["port-down"]; b.Counters().Drops()["port-down"] == down; {
				outside.Transmit([]vswitch.Frame{numbered(0)}) // the other port continues
			}
			next <- open(t, Spec{KindTap, "tap9"}, offload)
			ip(t, "link set tap9 up")
			guest = open(t, Spec{KindPacket, "tap9"}, offload)
			passes(t, guest, outside, 70)
			passes(t, outside, guest, 71)
			stop()
			if err := errors.Join(<-ended, threads.Close(), a.Close(), b.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestShareFour has four ports in each thread; a port that is not a reattaching one has no thread.
func TestShareFour(t *testing.T) {
	var ports []vswitch.Port
	for range 6 {
		p, _, _ := reopening(newFakePort(new(vswitch.Counters)))
		ports = append(ports, p)
	}
	other := newFakePort(new(vswitch.Counters))
	threads, err := ShareThreads(append([]vswitch.Port{other}, ports...))
	if err != nil || len(threads) != 2 {
		t.Fatalf("%d threads, %v; want 2", len(threads), err)
	}
	for i, p := range ports {
		if loop := p.(*reattachingPort).loop; loop != threads[i/4] {
			t.Errorf("port %d is in the wrong thread", i)
		}
	}
	if err := threads.Close(); err != nil {
		t.Error(err)
	}
}

// A slow forwarder reports its first frame and then waits until it is released.
type slow struct {
	vswitch.Forwarder
	once            sync.Once
	asked, released chan struct{}
}

func (s *slow) Forward(in int, batch []vswitch.Frame, now time.Duration, out *vswitch.Out) {
	s.once.Do(func() {
		close(s.asked)
		<-s.released
	})
	s.Forwarder.Forward(in, batch, now, out)
}

// TestShareFault ends a switch by an error of one port while a frame is in transit between two others of the same thread.
func TestShareFault(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		outside := open(t, Spec{KindPacket, "v0"}, true)
		to, _, _ := reopening(open(t, Spec{KindTap, "tap9"}, true))
		from, _, _ := reopening(open(t, Spec{KindPacket, "v1"}, true))
		bridge := vswitch.NewBridge(vswitch.BridgeConfig{Ports: 3, Ageing: time.Minute, Limit: 8, Upstream: -1})
		forwarder := &slow{Forwarder: bridge, asked: make(chan struct{}), released: make(chan struct{})}
		fault := errors.New("lost for good")
		failing := NewReattaching(nil, new(vswitch.Counters), Reattach{Reopen: func(context.Context) (vswitch.Port, error) {
			<-forwarder.asked
			time.AfterFunc(50*time.Millisecond, func() { close(forwarder.released) }) // while the ports are being closed
			return nil, fault
		}})
		threads, err := ShareThreads([]vswitch.Port{to, from, failing})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			ended <- vswitch.New(forwarder, func() time.Duration { return 0 }, to, from, failing).Run(t.Context())
		}()
		outside.Transmit([]vswitch.Frame{numbered(0)})
		if err := <-ended; !errors.Is(err, fault) {
			t.Errorf("Run = %v; want %v", err, fault)
		}
		if err := threads.Close(); err != nil {
			t.Error(err)
		}
	})
}
