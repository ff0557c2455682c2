package tap

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

// A fakePort is lost when its channel says so.
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

// TestReattach loses a port, finds it away, and gets it back.
func TestReattach(t *testing.T) {
	counters := new(vswitch.Counters)
	opened, worth := make(chan *fakePort, 2), make(chan error)
	lost, back := make(chan error, 1), make(chan struct{}, 1)
	p, err := NewReattaching(Reattach{
		Open: func() (vswitch.Port, error) {
			f := newFakePort(counters)
			opened <- f
			return f, nil
		},
		Await: func(ctx context.Context) error {
			select {
			case err := <-worth:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
		Lost: func(cause error) { lost <- cause },
		Back: func() { back <- struct{}{} },
	})
	if err != nil {
		t.Fatal(err)
	}
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
	first := <-opened
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

// TestReattachGivesUp shows that an error of Await ends Receive.
func TestReattachGivesUp(t *testing.T) {
	enough := errors.New("enough")
	f := newFakePort(new(vswitch.Counters))
	p, err := NewReattaching(Reattach{
		Open:  func() (vswitch.Port, error) { return f, nil },
		Await: func(context.Context) error { return enough },
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { f.results <- errors.New("gone") }()
	if _, err := p.Receive(make([]vswitch.Frame, 1)); !errors.Is(err, enough) {
		t.Errorf("Receive: %v", err)
	}
}

// TestAwaited shows that a port may be there before its device.
func TestAwaited(t *testing.T) {
	counters := new(vswitch.Counters)
	f, back := newFakePort(counters), make(chan struct{})
	p := NewAwaited(Reattach{
		Open:  func() (vswitch.Port, error) { return f, nil },
		Await: func(context.Context) error { return nil },
		Back:  func() { close(back) },
	}, counters)
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
