// Package vswitchtest is a test double: a vswitch.Port in memory, for tests of switches, forwarders and ports.
//
//	port := vswitchtest.NewPort(8)
//	go vswitch.New(forwarder, clock, port, other).Run(ctx)
//	port.Inject(vswitch.Frame{Data: data}) // a frame enters the switch
//	f, err := port.Next(ctx)               // a frame that the switch has sent
//
// A port has two ends. The switch uses one: Receive, Transmit, Close. The test uses the other: Inject sends a frame to the switch, Next
// returns a frame from it, Lose simulates a device that disappears. After Interrupt, Again returns a port for another switch at the
// same attachment.
//
//	test ──Inject──▶ in ──Receive──▶ switch
//	test ◀──Next──── out ◀─Transmit─ switch
//
// The port counts frames and drops as a device port does. It enforces the rule that frames are borrowed: each Receive overwrites
// the frames of the Receive before, so that a test fails if a forwarder keeps one.
//
// The package is for tests and may change without notice: docs/library.md has the packages that are promised.
package vswitchtest

import (
	"bytes"
	"context"
	"net"
	"sync"

	"github.com/podswitch/podswitch/vswitch"
)

// poison overwrites frames that are no longer valid.
const poison = 0xdb

// A Port is a vswitch.Port and a vswitch.Interrupter in memory. Both of its ends may be used concurrently, except Receive. Use NewPort
// to make one.
type Port struct {
	*attachment
	counters     vswitch.Counters
	closed       chan struct{}
	interrupted  chan struct{}
	closing      sync.Once
	interrupting sync.Once

	previous [][]byte // frames of the last Receive; used by Receive only
}

// An attachment is the part of a port that stays when one switch replaces another.
type attachment struct {
	in, out chan vswitch.Frame
	lost    chan struct{}
	fault   error // set before lost is closed
	losing  sync.Once
}

var _, _ = vswitch.Port((*Port)(nil)), vswitch.Interrupter((*Port)(nil))

// NewPort returns a port with two queues of depth frames. If the queue to the switch is full, Inject waits; if the queue to the test is
// full, Transmit drops the frame as PortFull.
func NewPort(depth int) *Port {
	return newPort(&attachment{in: make(chan vswitch.Frame, depth), out: make(chan vswitch.Frame, depth), lost: make(chan struct{})})
}

func newPort(a *attachment) *Port {
	return &Port{attachment: a, closed: make(chan struct{}), interrupted: make(chan struct{})}
}

// Again returns a port with new counters at the same attachment, with the frames that are in its queues. Only one of the two ports may
// receive.
func (p *Port) Again() *Port { return newPort(p.attachment) }

// Inject copies frames and queues them for the switch, in order. It waits while the queue is full. It reports false if the port is
// closed or lost before all frames are queued.
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

// Next waits for the next frame that the switch has sent. The frame is the caller's. If ctx is done first, Next returns its error.
// Frames that were sent before Close remain available.
func (p *Port) Next(ctx context.Context) (vswitch.Frame, error) {
	if f, ok := p.TryNext(); ok {
		return f, nil
	}
	select {
	case f := <-p.out:
		return f, nil
	case <-ctx.Done():
		return vswitch.Frame{}, ctx.Err()
	}
}

// TryNext is Next without waiting. It reports false if there is no frame.
func (p *Port) TryNext() (vswitch.Frame, bool) {
	select {
	case f := <-p.out:
		return f, true
	default:
		return vswitch.Frame{}, false
	}
}

// Lose makes Receive return err from now on, as for a device that was removed. Only the first call has an effect.
func (p *Port) Lose(err error) {
	p.losing.Do(func() { p.fault = err; close(p.lost) })
}

// IsClosed reports whether the port was closed.
func (p *Port) IsClosed() bool { return isDone(p.closed) }

func isDone(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Receive implements vswitch.Port. For a port that is both lost and closed or interrupted, it returns net.ErrClosed.
func (p *Port) Receive(batch []vswitch.Frame) (int, error) {
	p.poisonPrevious()
	if isDone(p.closed) || isDone(p.interrupted) {
		return 0, net.ErrClosed
	}
	select {
	case <-p.closed:
	case <-p.interrupted:
	case <-p.lost:
		return 0, p.fault
	case f := <-p.in:
		return p.fill(batch, f), nil
	}
	return 0, net.ErrClosed
}

// fill adds the first frame to a batch, and then the frames that are available without waiting.
func (p *Port) fill(batch []vswitch.Frame, f vswitch.Frame) int {
	for n := range batch {
		batch[n] = f
		p.previous = append(p.previous, f.Data)
		if n+1 == len(batch) || len(p.in) == 0 { // only Receive takes from it
			return n + 1
		}
		f = <-p.in
	}
	return 0
}

func (p *Port) poisonPrevious() {
	for _, data := range p.previous {
		for i := range data {
			data[i] = poison
		}
	}
	p.previous = p.previous[:0]
}

// Transmit implements vswitch.Port. It copies the frames for Next. It drops frames as PortFull if the queue is full, and as PortDown
// after Close.
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
func (p *Port) Interrupt() { p.interrupting.Do(func() { close(p.interrupted) }) }

// Close implements vswitch.Port.
func (p *Port) Close() error {
	p.closing.Do(func() { close(p.closed) })
	return nil
}
