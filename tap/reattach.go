package tap

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/podswitch/podswitch/vswitch"
)

// Reattach says how a port comes back when its device was lost.
type Reattach struct {
	Open  func() (vswitch.Port, error)    // opens the attachment, with the same counters each time
	Await func(ctx context.Context) error // waits until it is worth opening again; an error gives up
	Lost  func(cause error)               // called when the device was lost; may be nil
	Back  func()                          // called when it is open again; may be nil
	Stuck func(cause error)               // called when it is there but cannot be opened; may be nil
}

// A discarder is a port that can forget what has arrived before anybody wanted it.
type discarder interface{ Discard(vswitch.Reason) }

// A reattachingPort is a port whose device may go away and come back: a guest that ends and starts again, an interface that
// goes down and up. While it is away, frames to it are dropped as port-down.
type reattachingPort struct {
	how      Reattach
	counters *vswitch.Counters
	ctx      context.Context // done once Close was called
	cancel   context.CancelFunc

	mu      sync.RWMutex // guards current
	current vswitch.Port // nil while the device is away
}

// NewReattaching opens the attachment and returns a port that opens it again whenever it is lost.
func NewReattaching(how Reattach) (vswitch.Port, error) {
	first, err := how.Open()
	if err != nil {
		return nil, err
	}
	return newReattaching(how, first.Counters(), first), nil
}

// NewAwaited returns a port whose device is not there yet: it is opened when it comes. The counters are those that Open uses.
func NewAwaited(how Reattach, counters *vswitch.Counters) vswitch.Port {
	return newReattaching(how, counters, nil)
}

func newReattaching(how Reattach, counters *vswitch.Counters, first vswitch.Port) *reattachingPort {
	ctx, cancel := context.WithCancel(context.Background())
	return &reattachingPort{how: how, counters: counters, ctx: ctx, cancel: cancel, current: first}
}

// Counters implements vswitch.Port.
func (r *reattachingPort) Counters() *vswitch.Counters {
	if p := r.port(); p != nil {
		return p.Counters() // which may have something to add
	}
	return r.counters
}

// Discard drops what has arrived so far, if the port keeps such a thing. It must not be called beside Receive.
func (r *reattachingPort) Discard(reason vswitch.Reason) {
	if d, ok := r.port().(discarder); ok {
		d.Discard(reason)
	}
}

func (r *reattachingPort) port() vswitch.Port {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.current
}

func (r *reattachingPort) Receive(batch []vswitch.Frame) (int, error) {
	for {
		if p := r.port(); p != nil {
			n, err := p.Receive(batch)
			if err == nil || errors.Is(err, net.ErrClosed) {
				return n, err
			}
			r.lose(p, err)
		}
		if err := r.reopen(); err != nil {
			return 0, err
		}
	}
}

func (r *reattachingPort) lose(p vswitch.Port, cause error) {
	r.mu.Lock()
	r.current = nil
	r.mu.Unlock()
	p.Close()
	if r.how.Lost != nil {
		r.how.Lost(cause)
	}
}

// reopen waits for the device and opens it; who comes too early waits again.
func (r *reattachingPort) reopen() error {
	for {
		err := r.how.Await(r.ctx)
		if r.ctx.Err() != nil {
			return net.ErrClosed
		}
		if err != nil {
			return err
		}
		p, err := r.how.Open()
		if err != nil {
			if r.how.Stuck != nil {
				r.how.Stuck(err)
			}
			continue
		}
		if !r.adopt(p) {
			return errors.Join(net.ErrClosed, p.Close())
		}
		if r.how.Back != nil {
			r.how.Back()
		}
		return nil
	}
}

// adopt makes p the current port, unless Close came first.
func (r *reattachingPort) adopt(p vswitch.Port) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return false
	}
	r.current = p
	return true
}

func (r *reattachingPort) Transmit(batch []vswitch.Frame) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.current == nil {
		r.counters.Drop(vswitch.PortDown, len(batch))
		return
	}
	r.current.Transmit(batch)
}

func (r *reattachingPort) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel()
	if r.current == nil {
		return nil
	}
	return r.current.Close()
}
