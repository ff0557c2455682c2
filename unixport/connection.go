package unixport

import (
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// A connection is one peer of a stream port, from its connecting to its hanging up.
type connection struct {
	*device

	// The following belong to the goroutine that receives. The closures are made once: making them per call would allocate.
	decoder decoder
	readErr error
	read    func(fd uintptr) bool

	mu     sync.Mutex // guards the following
	sender sender
	left   bool // another process goes on: nothing may be sent any more
	out    []vswitch.Frame
	write  func(fd uintptr)

	stalled chan struct{} // has a value when a frame was begun and the peer does not read
	done    chan struct{} // closed when the connection is
}

// newConnection goes on with what of the rest is about one peer's stream.
func newConnection(d *device, counters *vswitch.Counters, rest Rest) *connection {
	c := &connection{device: d, decoder: newDecoder(), sender: newSender(counters),
		stalled: make(chan struct{}, 1), done: make(chan struct{})}
	c.read, c.write = c.readSome, c.writeOut
	c.decoder.adopt(rest.Received)
	c.sender.adopt(rest.Unsent, rest.Begun)
	c.tell()
	return c
}

// receive waits for frames. The error is io.EOF when the peer has hung up, and io.ErrUnexpectedEOF when it did so within a
// frame. Frames that were read before an interruption are left for who goes on.
func (c *connection) receive(batch []vswitch.Frame, counters *vswitch.Counters) (int, error) {
	if c.decoder.holds() { // what was read may be hundreds of batches
		c.Pass()
	}
	for {
		if c.interrupted.Load() {
			return 0, net.ErrClosed
		}
		n, err := c.decoder.frames(batch, counters)
		if err != nil {
			counters.Drop(vswitch.Truncated, 1)
			return 0, err
		}
		if n > 0 {
			return n, nil
		}
		c.readErr = nil
		if err := c.Descriptor.Receive(c.read); err != nil {
			return 0, err
		}
		if c.readErr != nil {
			return 0, c.readErr
		}
	}
}

// readSome reads once, what is there; it reports false when there is nothing yet.
func (c *connection) readSome(fd uintptr) bool {
	for {
		n, err := unix.Read(int(fd), c.decoder.room())
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false
		case err != nil:
			c.readErr = os.NewSyscallError("read", err)
		case n > 0:
			c.decoder.filled(n)
		case c.decoder.holds():
			c.readErr = io.ErrUnexpectedEOF
		default:
			c.readErr = io.EOF
		}
		return true
	}
}

func (c *connection) transmit(batch []vswitch.Frame, counters *vswitch.Counters) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left {
		counters.Drop(vswitch.PortDown, len(batch))
		return
	}
	for len(batch) > 0 {
		n := min(len(batch), burst)
		c.out, batch = batch[:n], batch[n:]
		if !c.Descriptor.Transmit(c.write) {
			counters.Drop(vswitch.PortDown, n)
		}
	}
	c.out = nil
	c.tell()
}

// tell wakes who completes frames, if there is one to complete.
func (c *connection) tell() {
	if len(c.sender.rest) > 0 {
		select {
		case c.stalled <- struct{}{}:
		default: // it knows already
		}
	}
}

func (c *connection) writeOut(fd uintptr) { c.sender.send(fd, c.out) }

// completeFrames completes, until the connection is closed, each frame that was begun as soon as the peer reads again:
// the next Transmit may be far away.
func (c *connection) completeFrames() {
	complete := func(fd uintptr) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.sender.complete(fd)
	}
	for {
		select {
		case <-c.stalled:
		case <-c.done:
			return
		}
		if c.Descriptor.Drain(complete) != nil {
			return // closed
		}
	}
}

// close ends what waits on the connection; it is idempotent. It must not hold mu while the socket closes: that waits for who
// transmits and who completes frames, and both take mu.
func (c *connection) close() {
	if c.closed.Swap(true) {
		return
	}
	c.Descriptor.Close() // nothing can be done about a connection that fails to close
	c.mu.Lock()
	c.sender.abandon()
	c.mu.Unlock()
	close(c.done)
}

// leave returns what is in hand, and its descriptor, which stays the connection's; it reports false after close. Nothing is sent
// any more. It must not be called beside receive.
func (c *connection) leave() (rest Rest, fd int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.Descriptor.Transmit(func(open uintptr) { fd = int(open) }) {
		return Rest{}, 0, false
	}
	c.left = true
	rest.Received = c.decoder.left()
	rest.Unsent, rest.Begun = c.sender.left()
	return rest, fd, true
}
