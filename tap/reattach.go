package tap

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// Reattach says how a port comes back when its device was lost. Its functions are called by the goroutine that receives, and
// none any more once Receive has returned an error.
type Reattach struct {
	// Reopen waits until the device can be opened again, and returns a port with the same counters each time. The context is
	// done once the port was interrupted or closed; an error before that gives up, and Receive returns it.
	Reopen func(ctx context.Context) (vswitch.Port, error)
	Lost   func(cause error) // called when the device was lost, but not after Interrupt or Close; may be nil
	Back   func()            // called when it is open again, but not after Interrupt or Close; may be nil
}

// A discarder is a port that can forget what has arrived before anybody wanted it.
type discarder interface{ Discard(vswitch.Reason) }

// interrupt ends the receiving of a port; one that does not know how to is closed, because who calls waits for the end.
func interrupt(p vswitch.Port) {
	if i, ok := p.(vswitch.Interrupter); ok {
		i.Interrupt()
	} else if p != nil {
		p.Close()
	}
}

// discard drops what has arrived at a port so far, if the port keeps such a thing.
func discard(p vswitch.Port, reason vswitch.Reason) {
	if d, ok := p.(discarder); ok {
		d.Discard(reason)
	}
}

// A reattachingPort is a port whose device may go away and come back: a guest that ends and starts again, an interface that
// goes down and up. While it is away, frames to it are dropped as port-down.
type reattachingPort struct {
	how      Reattach
	counters *vswitch.Counters
	ctx      context.Context // done once Interrupt or Close was called
	cancel   context.CancelFunc
	loop     *descriptor.Loop // where frames are received; nil: by whoever calls
	turn     *descriptor.Turn // in the loop; belongs to the goroutine that receives

	mu      sync.RWMutex // guards current, and the end of ctx
	current vswitch.Port // nil while the device is away
}

// NewReattaching returns a port that is opened again whenever its device is lost, which belongs to it. The first one may be nil,
// for a device that is still to come. The counters are those of every port that Reopen returns.
func NewReattaching(first vswitch.Port, counters *vswitch.Counters, how Reattach) vswitch.Port {
	ctx, cancel := context.WithCancel(context.Background())
	return &reattachingPort{how: how, counters: counters, ctx: ctx, cancel: cancel, current: first}
}

// Unwrap returns the port of the device; nil while that is away.
func (r *reattachingPort) Unwrap() vswitch.Port { return r.port() }

// Counters implements vswitch.Port.
func (r *reattachingPort) Counters() *vswitch.Counters {
	if p := r.port(); p != nil {
		return p.Counters() // which may have something to add
	}
	return r.counters
}

// Discard drops what has arrived so far, if the port keeps such a thing. It must not be called beside Receive.
func (r *reattachingPort) Discard(reason vswitch.Reason) { discard(r.port(), reason) }

func (r *reattachingPort) port() vswitch.Port {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.current
}

// RunInThread implements vswitch.ThreadRunner.
func (r *reattachingPort) RunInThread(f func()) {
	if r.loop == nil {
		f()
		return
	}
	r.loop.Do(func(t *descriptor.Turn) {
		r.turn = t
		setTurn(r.port(), t)
		f()
	})
}

// Receive implements vswitch.Port.
func (r *reattachingPort) Receive(batch []vswitch.Frame) (int, error) {
	for {
		if p := r.port(); p != nil {
			n, err := p.Receive(batch)
			if err == nil || errors.Is(err, net.ErrClosed) {
				return n, err
			}
			r.turn.Leave()
			if !r.lose(p, err) {
				return 0, net.ErrClosed
			}
		}
		if err := r.reopen(); err != nil {
			return 0, err
		}
	}
}

// lose closes the current port and tells of the loss, unless receiving has ended before: then Close closes the port.
func (r *reattachingPort) lose(p vswitch.Port, cause error) bool {
	if !r.replace(nil) {
		return false
	}
	p.Close()
	if r.how.Lost != nil {
		r.how.Lost(cause)
	}
	return true
}

// reopen waits for the device and goes on with it.
func (r *reattachingPort) reopen() error {
	if r.ctx.Err() != nil {
		return net.ErrClosed
	}
	p, err := r.how.Reopen(r.ctx)
	switch {
	case err != nil && r.ctx.Err() != nil:
		return net.ErrClosed
	case err != nil:
		return err
	case !r.replace(p):
		return errors.Join(net.ErrClosed, p.Close())
	}
	setTurn(p, r.turn)
	if r.how.Back != nil {
		r.how.Back()
	}
	return nil
}

// replace makes p the current port, unless Interrupt or Close came first.
func (r *reattachingPort) replace(p vswitch.Port) bool {
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

// Interrupt implements vswitch.Interrupter: Receive waits for no device any more either.
func (r *reattachingPort) Interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel()
	interrupt(r.current)
}

// Close implements vswitch.Port. It does not hold mu while the current port closes, which stays the same from now on: that waits for
// who receives, in a thread where another one may be about to transmit to this port.
func (r *reattachingPort) Close() error {
	r.mu.Lock()
	r.cancel()
	p := r.current
	r.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.Close()
}
