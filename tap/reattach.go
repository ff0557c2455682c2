package tap

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// Reattach has the functions of a reattaching port. The goroutine that receives calls them; none is called after Receive has returned an
// error.
type Reattach struct {
	// Reopen waits until the device can be opened again, and returns a new port, which must have the same counters each time. ctx is
	// done after Interrupt or Close. An error before that is final: Receive returns it. Reopen is required.
	Reopen func(ctx context.Context) (vswitch.Port, error)
	// Lost is called when the device is lost, and Back when it is open again. Neither is called after Interrupt or Close. Either may be
	// nil.
	Lost func(cause error)
	Back func()
}

// A discarder is a port that can drop frames that have arrived before the switch runs.
type discarder interface{ Discard(vswitch.Reason) }

// interrupt ends the receiving of a port. It closes a port that is not an Interrupter, because the caller waits for Receive to return.
func interrupt(p vswitch.Port) {
	if i, ok := p.(vswitch.Interrupter); ok {
		i.Interrupt()
	} else if p != nil {
		p.Close()
	}
}

// discard drops the frames queued at a port, if the port is a discarder.
func discard(p vswitch.Port, reason vswitch.Reason) {
	if d, ok := p.(discarder); ok {
		d.Discard(reason)
	}
}

// A reattachingPort is a port whose device may disappear and return: the guest restarts, or the interface goes down and up.
//
//	         Receive: an error          Reopen: a port
//	attached ─────────────────▶ detached ─────────────▶ attached
//	    │        lose: Lost         │     reopen: Back
//	    │                           │ Reopen: an error ─▶ Receive returns the error
//	    └─── Interrupt, Close ──────┴──▶ ended: Receive returns net.ErrClosed
//
// While the port is detached, Transmit drops frames as port-down, and Receive waits in Reopen, outside the Loop's thread. The field
// current is nil then. Once ctx is done, current does not change any more: Interrupt, Close and replace all hold mu.
type reattachingPort struct {
	how      Reattach
	counters *vswitch.Counters
	ctx      context.Context // done after Interrupt or Close
	cancel   context.CancelFunc
	loop     *descriptor.Loop // the thread in which RunInThread runs; nil: the caller's
	turn     *descriptor.Turn // in loop; belongs to the goroutine that receives

	mu      sync.RWMutex // guards current, and the end of ctx
	current vswitch.Port // nil while detached
}

// NewReattaching returns a port that calls how.Reopen whenever its device is lost, and owns first and every port that Reopen returns. A
// nil first means that the device does not exist yet. The counters must be those of first and of every port that Reopen returns.
func NewReattaching(first vswitch.Port, counters *vswitch.Counters, how Reattach) vswitch.Port {
	ctx, cancel := context.WithCancel(context.Background())
	return &reattachingPort{how: how, counters: counters, ctx: ctx, cancel: cancel, current: first}
}

// Unwrap returns the device's port, or nil while there is none.
func (r *reattachingPort) Unwrap() vswitch.Port { return r.port() }

// Counters implements vswitch.Port.
func (r *reattachingPort) Counters() *vswitch.Counters {
	if p := r.port(); p != nil {
		return p.Counters() // a packet socket adds the kernel's counters
	}
	return r.counters
}

// Discard implements discarder. It must not run at the same time as Receive.
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

// lose closes the current port and calls Lost. It reports false after Interrupt or Close: then Close closes the port.
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

// reopen waits for the device and makes its port the current one.
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

// replace makes p the current port. It reports false after Interrupt or Close.
func (r *reattachingPort) replace(p vswitch.Port) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return false
	}
	r.current = p
	return true
}

// Transmit implements vswitch.Port.
func (r *reattachingPort) Transmit(batch []vswitch.Frame) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.current == nil {
		r.counters.Drop(vswitch.PortDown, len(batch))
		return
	}
	r.current.Transmit(batch)
}

// Interrupt implements vswitch.Interrupter. It also ends a wait in Reopen.
func (r *reattachingPort) Interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel()
	interrupt(r.current)
}

// Close implements vswitch.Port. It does not hold mu while the current port closes: that waits for the receiving thread, in which another
// port may be about to transmit to this one, and Transmit takes mu.
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
