package unixport

import (
	"errors"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// Options tell who is interested in the peer of a stream port. Each function may be nil, and must not wait for RestOf or Close.
type Options struct {
	Connected    func()          // a peer has connected; called within Receive
	Disconnected func(err error) // it has gone: io.EOF, or what was wrong; called within Receive, not after Close
	Refused      func(err error) // a connection was not accepted, or not waited for; called from a goroutine of the port
}

// A streamPort listens on a unix stream socket and speaks with one peer at a time.
type streamPort struct {
	counters  *vswitch.Counters
	options   Options
	listener  *device
	accepting sync.WaitGroup // the goroutine that accepts
	group     sync.WaitGroup // the goroutines of connections
	ended     chan struct{}  // closed by Interrupt or Close

	// The following belong to the goroutine that receives.
	announced *connection      // the peer that Connected told of
	turn      *descriptor.Turn // nil: it waits alone

	mu                  sync.Mutex  // guards the following
	changed             *sync.Cond  // one of the following has changed
	current             *connection // nil: no peer
	next                *connection // came when the current one had gone, whose frames are still to be received
	interrupted, closed bool
}

// newStreamPort takes over a listening socket and the connections of a rest that was checked, and closes all if there is an error.
func newStreamPort(listener *device, counters *vswitch.Counters, o Options, rest Rest) (vswitch.Port, error) {
	p := &streamPort{counters: counters, options: o, listener: listener, ended: make(chan struct{})}
	p.changed = sync.NewCond(&p.mu)
	of := rest
	for i, fd := range rest.descriptors() {
		if err := p.addLocked(fd, of); err != nil { // nobody else knows the port yet
			for _, later := range rest.descriptors()[i+1:] {
				err = errors.Join(err, unix.Close(later))
			}
			return nil, errors.Join(err, p.Close())
		}
		of = Rest{} // the bytes are of the first one
	}
	p.accepting.Go(p.accept)
	return p, nil
}

// Counters implements vswitch.Port.
func (p *streamPort) Counters() *vswitch.Counters { return p.counters }

// SetTurn makes Receive wait by turns with others in one thread (descriptor.Loop). The goroutine that receives calls it, between two
// calls of Receive.
func (p *streamPort) SetTurn(t *descriptor.Turn) { p.turn = t }

// Receive implements vswitch.Port. It outlives any number of peers.
func (p *streamPort) Receive(batch []vswitch.Frame) (int, error) {
	for {
		c, err := p.peer()
		if err != nil {
			return 0, err
		}
		if c != p.announced {
			p.announced = c
			if p.options.Connected != nil {
				p.options.Connected()
			}
		}
		c.SetTurn(p.turn)
		n, err := c.receive(batch, p.counters)
		if err == nil || errors.Is(err, net.ErrClosed) {
			return n, err
		}
		p.turn.Leave()
		p.lose(c, err)
	}
}

// peer waits for a connection.
func (p *streamPort) peer() (*connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.current == nil && !p.closed && !p.interrupted {
		p.changed.Wait()
	}
	if p.closed || p.interrupted {
		return nil, net.ErrClosed
	}
	return p.current, nil
}

// lose makes the next connection the current one, if it has come already.
func (p *streamPort) lose(c *connection, cause error) {
	c.close()
	p.mu.Lock()
	p.current, p.next = p.next, nil
	closed := p.closed
	p.changed.Broadcast()
	p.mu.Unlock()
	if !closed && p.options.Disconnected != nil {
		p.options.Disconnected(cause)
	}
}

// Transmit implements vswitch.Port.
func (p *streamPort) Transmit(batch []vswitch.Frame) {
	p.mu.Lock()
	c := p.current
	p.mu.Unlock()
	if c == nil {
		p.counters.Drop(vswitch.PortDown, len(batch))
		return
	}
	c.transmit(batch, p.counters)
}

// Interrupt ends receiving and accepting for good. A connection that waits to be accepted goes on to wait.
func (p *streamPort) Interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.interrupted || p.closed {
		return
	}
	p.interrupted = true
	close(p.ended)
	p.listener.Interrupt()
	if p.current != nil {
		p.current.Interrupt()
	}
	p.changed.Broadcast()
}

// leave implements leaver. A connection that was accepted just before the interruption is among what is left.
func (p *streamPort) leave() (Rest, bool) {
	p.mu.Lock()
	ok := p.interrupted && !p.closed
	p.mu.Unlock()
	if !ok {
		return Rest{}, false
	}
	p.accepting.Wait()
	p.mu.Lock()
	current, next := p.current, p.next
	p.mu.Unlock()
	if current == nil {
		return Rest{}, true
	}
	rest, fd, ok := current.leave()
	rest.Connection, rest.Announced = fd, current == p.announced
	if ok && next != nil {
		_, rest.Next, ok = next.leave()
	}
	return rest, ok
}

// Close implements vswitch.Port. It returns when the goroutines of the port have ended.
func (p *streamPort) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	connections := []*connection{p.current, p.next}
	if !p.interrupted {
		close(p.ended)
	}
	p.changed.Broadcast()
	p.mu.Unlock()
	err := p.listener.close()
	for _, c := range connections {
		if c != nil {
			c.close()
		}
	}
	p.accepting.Wait()
	p.group.Wait()
	return err
}
