package unixport

import (
	"errors"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// Options has functions that a listening stream port calls. Each may be nil. A function must not call StateOf or Close, which wait for it.
type Options struct {
	Connected    func()          // a peer has connected; called by Receive
	Disconnected func(err error) // the peer has hung up (io.EOF), or the connection has failed; called by Receive, and not after Close
	Refused      func(err error) // a connection could not be accepted; called by a goroutine of the port
}

// A streamPort listens on a unix stream socket and has one peer at a time.
//
//  1. acceptConnections, in its own goroutine, accepts a connection and makes it the current one (admit, addLocked).
//  2. Receive reads from the current connection, and Transmit writes to it. Without one, Receive waits (peer) and Transmit drops frames.
//  3. A connection that comes while the current peer is connected is closed. If the current peer has hung up, its remaining frames must be
//     received first: the new connection becomes the next one, and acceptConnections pauses (awaitFreeSlot).
//  4. When Receive finds the end of the current connection, lose closes it and makes the next connection the current one.
//
// A connection and the port must not wait for each other, so mu is not held during a call into a connection that waits.
type streamPort struct {
	counters  *vswitch.Counters
	options   Options
	listener  *device
	accepting sync.WaitGroup // the goroutine that accepts
	group     sync.WaitGroup // the goroutines of connections
	ended     chan struct{}  // closed by Interrupt and by Close

	// The following belong to the goroutine that receives.
	announced *connection      // the connection for which Connected was called
	turn      *descriptor.Turn // nil: Receive waits by itself

	mu                  sync.Mutex  // guards the following
	changed             *sync.Cond  // signalled when one of the following changes
	current             *connection // nil: no peer
	next                *connection // becomes the current one when the frames of that are received; nil: none
	interrupted, closed bool
	failure             error // why nothing can be accepted any more: the socket was shut down; nil: it was not
}

// newStreamPort returns a port that owns the listening socket and the connections of h, which was checked. After an error all of them are
// closed.
func newStreamPort(listener *device, counters *vswitch.Counters, o Options, h handover.Socket) (vswitch.Port, error) {
	p := &streamPort{counters: counters, options: o, listener: listener, ended: make(chan struct{})}
	p.changed = sync.NewCond(&p.mu)
	fds := connections(&h)
	for i, fd := range fds {
		if err := p.addLocked(fd, h); err != nil { // no lock: the port is not shared yet
			for _, later := range fds[i+1:] {
				err = errors.Join(err, unix.Close(later))
			}
			return nil, errors.Join(err, p.Close())
		}
		h = handover.Socket{} // the bytes belong to the first connection
	}
	p.accepting.Go(p.acceptConnections)
	return p, nil
}

// Counters implements vswitch.Port.
func (p *streamPort) Counters() *vswitch.Counters { return p.counters }

// SetTurn makes Receive share the thread of a descriptor.Loop, as Descriptor.SetTurn does for a Descriptor. Only the goroutine that
// receives may call it, between calls of Receive.
func (p *streamPort) SetTurn(t *descriptor.Turn) { p.turn = t }

// Receive implements vswitch.Port. It continues with the next peer after one has hung up.
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

// peer returns the current connection, and waits for one if there is none. The error is net.ErrClosed, or why there will be none.
func (p *streamPort) peer() (*connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.current == nil && !p.closed && !p.interrupted && p.failure == nil {
		p.changed.Wait()
	}
	switch {
	case p.closed || p.interrupted:
		return nil, net.ErrClosed
	case p.current == nil:
		return nil, p.failure
	}
	return p.current, nil
}

// lose closes c and makes the next connection the current one, if there is one.
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

// Interrupt implements vswitch.Interrupter. It also ends accepting; connections in the backlog stay there.
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

// state implements stateful. It includes a connection that was accepted just before the interruption.
func (p *streamPort) state() (handover.Socket, bool) {
	p.mu.Lock()
	ok := p.interrupted && !p.closed
	p.mu.Unlock()
	if !ok {
		return handover.Socket{}, false
	}
	p.accepting.Wait()
	p.mu.Lock()
	current, next := p.current, p.next
	p.mu.Unlock()
	if current == nil {
		return handover.Socket{}, true
	}
	h, fd, ok := current.handOver()
	h.Connection, h.Announced = fd, current == p.announced
	if ok && next != nil {
		_, h.Next, ok = next.handOver()
	}
	return h, ok
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
