// Package vswitchtest has a vswitch.Port without a device, for the tests of every package that runs a switch.
//
// The port has two ends. The switch holds the one: Receive, Transmit, Close. The test plays the attachment at the other:
// Inject sends into the switch, Next takes what the switch sent, Lose is the device that disappears. After Interrupt, Again is
// the port with which another switch goes on at the same attachment.
//
//	test ──Inject──▶ in ──Receive──▶ switch
//	test ◀──Next──── out ◀─Transmit─ switch
//
// It is a strict port: it counts as a device would, and it keeps its side of the borrowing rule by destroying the frames of
// a batch as soon as the next Receive begins. Who keeps a frame too long sees rubbish.
package vswitchtest

import (
	"bytes"
	"context"
	"net"
	"sync"

	"github.com/podswitch/podswitch/vswitch"
)

// rubbish overwrites frames whose time is over.
const rubbish = 0xdb

// A Port is a vswitch.Port in memory. Both of its ends may be used by several goroutines at once.
type Port struct {
	*attachment
	counters     vswitch.Counters
	closed       chan struct{}
	interrupted  chan struct{}
	closing      sync.Once
	interrupting sync.Once

	previous [][]byte // frames of the last Receive; its caller's alone
}

// An attachment is what stays when one switch hands it on to another.
type attachment struct {
	in, out chan vswitch.Frame
	lost    chan struct{}
	fault   error // why lost was closed
	losing  sync.Once
}

var _ interface {
	vswitch.Port
	vswitch.Interrupter
} = (*Port)(nil)

// NewPort returns a port that holds so many frames in each direction: Inject waits when the switch is behind, and
// Transmit drops when the test is, as PortFull.
func NewPort(depth int) *Port {
	return newPort(&attachment{
		in:   make(chan vswitch.Frame, depth),
		out:  make(chan vswitch.Frame, depth),
		lost: make(chan struct{}),
	})
}

func newPort(a *attachment) *Port {
	return &Port{attachment: a, closed: make(chan struct{}), interrupted: make(chan struct{})}
}

// Again returns a port with counters of its own at the same attachment: what waits in its queues is there still. Only one of
// the two may receive.
func (p *Port) Again() *Port { return newPort(p.attachment) }

// Inject sends frames into the switch, in order. It copies them, and waits for room. It reports false when the port was
// closed or lost before all of them were queued.
func (p *Port) Inject(frames ...vswitch.Frame) bool {
	for _, f := range frames {
		f.Data = bytes.Clone(f.Data)
		select {
		case <-p.closed:
			return false
		case <-p.lost:
			return false
		case p.in <- f:
		}
	}
	return true
}

// Next waits for the next frame that the switch sent here; it is the caller's. It returns the context's error when ctx is
// done first. Frames that were sent before a Close are still handed out.
func (p *Port) Next(ctx context.Context) (vswitch.Frame, error) {
	select {
	case f := <-p.out:
		return f, nil
	default:
	}
	select {
	case f := <-p.out:
		return f, nil
	case <-ctx.Done():
		return vswitch.Frame{}, ctx.Err()
	}
}

// TryNext is Next without waiting; it reports false when there is no frame.
func (p *Port) TryNext() (vswitch.Frame, bool) {
	select {
	case f := <-p.out:
		return f, true
	default:
		return vswitch.Frame{}, false
	}
}

// Lose makes every Receive from now on fail with err, as a device does that was removed. Only the first call counts.
func (p *Port) Lose(err error) {
	p.losing.Do(func() {
		p.fault = err
		close(p.lost)
	})
}

// IsClosed tells whether the switch has closed the port.
func (p *Port) IsClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

// Receive implements vswitch.Port. A port that is both closed, or interrupted, and lost is closed.
func (p *Port) Receive(batch []vswitch.Frame) (int, error) {
	p.destroyPrevious()
	if p.IsClosed() || p.isInterrupted() {
		return 0, net.ErrClosed
	}
	select {
	case <-p.closed:
		return 0, net.ErrClosed
	case <-p.interrupted:
		return 0, net.ErrClosed
	case <-p.lost:
		return 0, p.fault
	case f := <-p.in:
		return p.fill(batch, f), nil
	}
}

// fill takes the first frame of a batch and what else is there without waiting.
func (p *Port) fill(batch []vswitch.Frame, first vswitch.Frame) int {
	n := 0
	for f, ok := first, true; ok; n++ {
		batch[n] = f
		p.previous = append(p.previous, f.Data)
		if n+1 == len(batch) {
			return n + 1
		}
		select {
		case f = <-p.in:
		default:
			ok = false
		}
	}
	return n
}

func (p *Port) destroyPrevious() {
	for _, data := range p.previous {
		for i := range data {
			data[i] = rubbish
		}
	}
	p.previous = p.previous[:0]
}

// Transmit implements vswitch.Port. It copies the frames for Next. What does not fit is dropped as PortFull, and what
// comes after Close as PortDown.
func (p *Port) Transmit(batch []vswitch.Frame) {
	for _, f := range batch {
		if p.IsClosed() {
			p.counters.Drop(vswitch.PortDown, 1)
			continue
		}
		f.Data = bytes.Clone(f.Data)
		select {
		case p.out <- f:
			p.counters.Sent(1, len(f.Data))
		default:
			p.counters.Drop(vswitch.PortFull, 1)
		}
	}
}

// Counters implements vswitch.Port.
func (p *Port) Counters() *vswitch.Counters { return &p.counters }

// Interrupt implements vswitch.Interrupter.
func (p *Port) Interrupt() {
	p.interrupting.Do(func() { close(p.interrupted) })
}

func (p *Port) isInterrupted() bool {
	select {
	case <-p.interrupted:
		return true
	default:
		return false
	}
}

// Close implements vswitch.Port.
func (p *Port) Close() error {
	p.closing.Do(func() { close(p.closed) })
	return nil
}
