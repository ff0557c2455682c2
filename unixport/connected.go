package unixport

import (
	"net"
	"sync"

	"github.com/podswitch/podswitch/vswitch"
)

// A connectedPort is a stream socket that was connected by somebody else: its first peer is its last.
type connectedPort struct {
	*connection
	counters *vswitch.Counters
	group    sync.WaitGroup // the goroutine of the connection
}

func newConnectedPort(d *device, counters *vswitch.Counters, rest Rest) *connectedPort {
	p := &connectedPort{connection: newConnection(d, counters, rest), counters: counters}
	p.group.Go(p.completeFrames)
	return p
}

// Counters implements vswitch.Port.
func (p *connectedPort) Counters() *vswitch.Counters { return p.counters }

// Receive implements vswitch.Port. The peer's hanging up is an error.
func (p *connectedPort) Receive(batch []vswitch.Frame) (int, error) {
	n, err := p.receive(batch, p.counters)
	if err != nil && p.closed.Load() {
		return 0, net.ErrClosed
	}
	return n, err
}

// Transmit implements vswitch.Port.
func (p *connectedPort) Transmit(batch []vswitch.Frame) { p.transmit(batch, p.counters) }

// leave implements leaver. The socket itself is in other hands already.
func (p *connectedPort) leave() (Rest, bool) {
	if !p.interrupted.Load() {
		return Rest{}, false
	}
	rest, _, ok := p.connection.leave()
	return rest, ok
}

// Close implements vswitch.Port. It returns when the goroutine of the connection has ended.
func (p *connectedPort) Close() error {
	p.close()
	p.group.Wait()
	return nil
}
