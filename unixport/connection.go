package unixport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

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
	finish func(fd uintptr) bool

	stalled chan struct{} // has a value when a frame was begun and the peer does not read
	done    chan struct{} // closed when the connection is
}

// newConnection goes on with what of the rest is about one peer's stream.
func newConnection(d *device, counters *vswitch.Counters, rest Rest) *connection {
	c := &connection{device: d, decoder: newDecoder(), sender: newSender(counters),
		stalled: make(chan struct{}, 1), done: make(chan struct{})}
	c.read, c.write, c.finish = c.readSome, c.writeOut, c.complete
	c.decoder.adopt(rest.Received)
	c.sender.adopt(rest.Unsent, rest.Begun)
	c.tell()
	return c
}

// receive waits for frames. The error is io.EOF when the peer has hung up, io.ErrUnexpectedEOF when it did so within a frame, and
// ECONNRESET, behind all that it has sent, when it has left something unread (net/unix/af_unix.c, unix_release_sock). Frames that
// were read before an interruption are left for who goes on.
func (c *connection) receive(batch []vswitch.Frame, counters *vswitch.Counters) (int, error) {
	if c.decoder.holds() { // what was read may be hundreds of batches
		c.Yield()
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
		n, err := receiveBytes(fd, c.decoder.room())
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false
		case err != 0:
			c.readErr = os.NewSyscallError("recvfrom", err)
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

// receiveBytes reads what there is, up to what b has room for. It cannot block, so the scheduler need not hear of it: a read(2)
// could, because who else has the socket may take it out of non-blocking mode.
func receiveBytes(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), err
}

func (c *connection) transmit(batch []vswitch.Frame, counters *vswitch.Counters) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left {
		counters.Drop(vswitch.PortDown, len(batch))
		return
	}
	for len(batch) > 0 {
		c.out, batch = cut(batch, burst, counters)
		if !c.Descriptor.Transmit(c.write) {
			counters.Drop(vswitch.PortDown, len(c.out))
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
// the next Transmit may be far away. If it cannot wait, it tries again: what is sent meanwhile is counted as port-full.
func (c *connection) completeFrames() {
	for {
		select {
		case <-c.stalled:
		case <-c.done:
			return
		}
		for err := c.Descriptor.Drain(c.finish); err != nil; err = c.Descriptor.Drain(c.finish) {
			if errors.Is(err, net.ErrClosed) || !pause(retryPause, c.done) {
				return
			}
		}
	}
}

// complete completes the frame that was begun; it reports false when the peer has no room for all of it yet.
func (c *connection) complete(fd uintptr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sender.complete(fd)
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
