package tap

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// A fakePort returns the results that its channel has.
type fakePort struct {
	counters *vswitch.Counters
	results  chan error // nil: one frame
	closed   chan struct{}
	sent     chan int
}

func newFakePort(c *vswitch.Counters) *fakePort {
	return &fakePort{c, make(chan error), make(chan struct{}), make(chan int, 1)}
}

func (p *fakePort) Receive(batch []vswitch.Frame) (int, error) {
	select {
	case err := <-p.results:
		if err != nil {
			return 0, err
		}
		batch[0] = vswitch.Frame{Data: make([]byte, 60)}
		return 1, nil
	case <-p.closed:
		return 0, net.ErrClosed
	}
}

func (p *fakePort) Transmit(batch []vswitch.Frame) { p.sent <- len(batch) }
func (p *fakePort) Counters() *vswitch.Counters    { return p.counters }
func (p *fakePort) Close() error                   { close(p.closed); return nil }

// TestReattach loses a port, drops frames while it is detached, and reopens it.
func TestReattach(t *testing.T) {
	counters := new(vswitch.Counters)
	opened, worth := make(chan *fakePort, 2), make(chan error)
	lost, back := make(chan error, 1), make(chan struct{}, 1)
	first := newFakePort(counters)
	p := NewReattaching(first, counters, Reattach{
		Reopen: func(ctx context.Context) (vswitch.Port, error) {
			select {
			case err := <-worth:
				f := newFakePort(counters)
				opened <- f
				return f, err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		Lost: func(cause error) { lost <- cause },
		Back: func() { back <- struct{}{} },
	})
	received := make(chan error)
	go func() {
		batch := make([]vswitch.Frame, 1)
		for {
			_, err := p.Receive(batch)
			received <- err
			if err != nil {
				return
			}
		}
	}()
	first.results <- nil
	if err := <-received; err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	first.results <- gone
	if cause := <-lost; cause != gone {
		t.Errorf("lost because of %v", cause)
	}
	p.Transmit(make([]vswitch.Frame, 3))
	if got := counters.Drops()["port-down"]; got != 3 {
		t.Errorf("%d drops while away, want 3", got)
	}
	worth <- nil
	second := <-opened
	<-back
	p.Transmit(make([]vswitch.Frame, 2))
	if n := <-second.sent; n != 2 {
		t.Errorf("the new port got %d frames", n)
	}
	second.results <- gone
	<-lost
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := <-received; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed while away: %v", err)
	}
}

// TestReattachGivesUp: an error of Reopen ends Receive.
func TestReattachGivesUp(t *testing.T) {
	enough := errors.New("enough")
	f := newFakePort(new(vswitch.Counters))
	p := NewReattaching(f, f.counters, Reattach{Reopen: func(context.Context) (vswitch.Port, error) { return nil, enough }})
	go func() { f.results <- errors.New("gone") }()
	if _, err := p.Receive(make([]vswitch.Frame, 1)); !errors.Is(err, enough) {
		t.Errorf("Receive: %v", err)
	}
	if err := p.Close(); err != nil || p.Counters() != f.counters {
		t.Errorf("Close while away: %v, and the counters are %p, want %p", err, p.Counters(), f.counters)
	}
}

// TestAwaited: a port may exist before its device.
func TestAwaited(t *testing.T) {
	counters := new(vswitch.Counters)
	f, back := newFakePort(counters), make(chan struct{})
	p := NewReattaching(nil, counters, Reattach{
		Reopen: func(context.Context) (vswitch.Port, error) { return f, nil },
		Back:   func() { close(back) },
	})
	p.Transmit(make([]vswitch.Frame, 2))
	if got := counters.Drops()["port-down"]; got != 2 {
		t.Errorf("%d drops before the device is there, want 2", got)
	}
	go func() { f.results <- nil }()
	if n, err := p.Receive(make([]vswitch.Frame, 1)); n != 1 || err != nil {
		t.Errorf("Receive: %d, %v", n, err)
	}
	<-back
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// A loadedPort returns a frame for every Receive, until it is lost or no frame is left.
type loadedPort struct {
	counters *vswitch.Counters
	lives    int           // calls of Receive until it is lost
	left     *atomic.Int64 // frames of all ports with these counters
	data     []byte
	closing  sync.Once
	closed   chan struct{}
}

func (p *loadedPort) Receive(batch []vswitch.Frame) (int, error) {
	select {
	case <-p.closed:
		return 0, net.ErrClosed
	default:
	}
	if p.lives--; p.lives < 0 {
		return 0, errors.New("gone")
	}
	n := 1 + p.lives%len(batch)
	if p.left.Add(-int64(n)) < 0 {
		<-p.closed
		return 0, net.ErrClosed
	}
	for i := range n {
		batch[i] = vswitch.Frame{Data: p.data[:len(p.data)-i%2*50]} // every other one is too short
	}
	return n, nil
}

func (p *loadedPort) Transmit(batch []vswitch.Frame) {
	select {
	case <-p.closed:
		p.counters.Drop(vswitch.PortDown, len(batch))
	default:
		p.counters.Sent(len(batch), 0)
	}
}

func (p *loadedPort) Counters() *vswitch.Counters { return p.counters }
func (p *loadedPort) Close() error                { p.closing.Do(func() { close(p.closed) }); return nil }

// A comingAndGoing is a reattaching port whose device is lost repeatedly, and which always has frames.
type comingAndGoing struct {
	vswitch.Port
	counters   vswitch.Counters
	left       atomic.Int64
	opened     []*loadedPort // by the goroutine that receives
	lost, back atomic.Int64
}

func comeAndGo(seed uint64, from, to byte) *comingAndGoing {
	c := &comingAndGoing{}
	c.left.Store(1 << 62)
	random := rand.New(rand.NewPCG(seed, uint64(from)))
	open := func() vswitch.Port {
		data := make([]byte, 60)
		data[5], data[11] = to, from
		p := &loadedPort{counters: &c.counters, lives: random.IntN(50), left: &c.left, data: data, closed: make(chan struct{})}
		c.opened = append(c.opened, p)
		return p
	}
	c.Port = NewReattaching(open(), &c.counters, Reattach{
		Reopen: func(ctx context.Context) (vswitch.Port, error) {
			if ctx.Err() != nil && random.IntN(2) == 0 { // otherwise it returns a port in spite of the end
				return nil, ctx.Err()
			}
			return open(), nil
		},
		Lost: func(error) { c.lost.Add(1) },
		Back: func() { c.back.Add(1) },
	})
	return c
}

// TestReattachUnderLoad stops a busy switch whose devices come and go, at any moment: every received frame is counted as sent or dropped,
// and every opened device is closed.
func TestReattachUnderLoad(t *testing.T) {
	for round := range 60 {
		a, b := comeAndGo(uint64(round), 2, 4), comeAndGo(uint64(round), 4, 2)
		bridge := vswitch.NewBridge(vswitch.BridgeConfig{Ports: 2, Ageing: time.Minute, Limit: 8, Upstream: -1})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		began := time.Now()
		go func() {
			ended <- vswitch.New(bridge, func() time.Duration { return time.Since(began) }, a, b).Run(ctx)
		}()
		for a.counters.RxFrames.Load() < uint64(round*40) || b.counters.TxFrames.Load() == 0 {
			bridge.Forget(round % 2)
			runtime.Gosched()
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("round %d: Run = %v", round, err)
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Errorf("round %d: Close = %v", round, err)
		}
		var in, out uint64
		for _, c := range []*comingAndGoing{a, b} {
			in += c.counters.RxFrames.Load()
			out += c.counters.TxFrames.Load()
			for _, n := range c.counters.Drops() {
				out += n
			}
			if away := c.lost.Load() - c.back.Load(); away < 0 || away > 1 {
				t.Errorf("round %d: lost %d times, and back %d times", round, c.lost.Load(), c.back.Load())
			}
			for _, p := range c.opened {
				select {
				case <-p.closed:
				default:
					t.Errorf("round %d: a device is left open", round)
				}
			}
		}
		if in != out {
			t.Errorf("round %d: %d frames received, %d sent or dropped: %v, %v", round, in, out, a.counters.Drops(), b.counters.Drops())
		}
	}
}
