package unixport

import (
	"net"
	"sync"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// A connectedPort is a stream socket that was connected before the port was made. It has one peer for its lifetime.
type connectedPort struct {
	*connection
	counters *vswitch.Counters
	group    sync.WaitGroup // the goroutine of the connection
}

func newConnectedPort(d *device, counters *vswitch.Counters, h handover.Socket) *connectedPort {
	p := &connectedPort{connection: newConnection(d, counters, h), counters: counters}
	p.group.Go(p.completeFrames)
	return p
}

// Counters implements vswitch.Port.
func (p *connectedPort) Counters() *vswitch.Counters { return p.counters }

// Receive implements vswitch.Port. It returns io.EOF when the peer has hung up.
func (p *connectedPort) Receive(batch []vswitch.Frame) (int, error) {
	n, err := p.receive(batch, p.counters)
	if err != nil && p.closed.Load() {
		return 0, net.ErrClosed
	}
	return n, err
}

// Transmit implements vswitch.Port.
func (p *connectedPort) Transmit(batch []vswitch.Frame) { p.transmit(batch, p.counters) }

// state implements stateful. The new port has a descriptor of the socket already, so the state has none.
func (p *connectedPort) state() (handover.Socket, bool) {
	if !p.interrupted.Load() {
		return handover.Socket{}, false
	}
	h, _, ok := p.handOver()
	return h, ok
}

// Close implements vswitch.Port. It returns when the goroutine of the connection has ended.
func (p *connectedPort) Close() error {
	p.close()
	p.group.Wait()
	return nil
}
