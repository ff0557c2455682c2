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

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// A connection is one peer of a stream port, until the peer hangs up.
//
// Transmit never waits for the peer. If the socket buffer fills up in the middle of a frame, the peer must still get the rest of that frame,
// because the next bytes would otherwise be taken for its end. Therefore:
//
//  1. transmit writes what the socket accepts, and keeps the unsent end of a frame in sender.unsent.
//  2. wakeCompleter wakes the goroutine of completeFrames, which waits until the socket is writable and writes the end.
//  3. A transmit that comes first writes the end before its own frames.
type connection struct {
	*device

	// The following belong to the goroutine that receives.
	reader  *descriptor.Reader[[]byte]
	decoder decoder

	mu         sync.Mutex // guards the following
	sender     sender
	handedOver bool // another process sends to the peer: this one must not
	out        []vswitch.Frame
	write      func(fd uintptr) // created once: creating it per call would allocate
	finish     func(fd uintptr) bool

	stalled chan struct{} // has a value when sender.unsent is not empty
	done    chan struct{} // closed by close
}

// newConnection returns a connection that resumes the stream of h, and owns d.
func newConnection(d *device, counters *vswitch.Counters, h handover.Socket) *connection {
	c := &connection{device: d, decoder: newDecoder(), sender: newSender(counters),
		stalled: make(chan struct{}, 1), done: make(chan struct{})}
	c.reader, c.write, c.finish = descriptor.NewReader(d.Descriptor, c.readSome), c.writeOut, c.complete
	c.decoder.resume(h.Received)
	c.sender.resume(h.Unsent, h.Begun)
	c.wakeCompleter()
	return c
}

// receive waits for frames. The error is io.EOF when the peer has hung up, io.ErrUnexpectedEOF when it did so within a frame, and
// ECONNRESET, after all received frames, when it has not read everything (unix_release_sock, net/unix/af_unix.c). After an interruption,
// bytes that were read stay in the decoder, for the state.
func (c *connection) receive(batch []vswitch.Frame, counters *vswitch.Counters) (int, error) {
	if c.decoder.hasBytes() { // one read may return hundreds of batches
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
		read, err := c.reader.Receive(c.decoder.room())
		if err != nil {
			return 0, err
		}
		c.decoder.filled(read)
	}
}

// readSome is an Attempt (package descriptor).
func (c *connection) readSome(fd uintptr, room []byte) (n int, wait bool, err error) {
	for {
		n, errno := receiveBytes(fd, room)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return 0, true, nil
		case errno != 0:
			return 0, false, os.NewSyscallError("recvfrom", errno)
		case n > 0:
			return n, false, nil
		case c.decoder.hasBytes():
			return 0, false, io.ErrUnexpectedEOF
		}
		return 0, false, io.EOF
	}
}

// receiveBytes reads up to len(b) bytes, without waiting. MSG_DONTWAIT does not depend on the socket's mode, which another process with the
// same socket may change. So the system call does not block, and bypasses the scheduler's bookkeeping (RawSyscall).
func receiveBytes(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), err
}

// transmit sends frames, and counts those that the peer has no room for as drops.
func (c *connection) transmit(batch []vswitch.Frame, counters *vswitch.Counters) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handedOver {
		counters.Drop(vswitch.PortDown, len(batch))
		return
	}
	for len(batch) > 0 {
		c.out, batch = nextBurst(batch, burst, counters)
		if !c.Descriptor.Transmit(c.write) {
			counters.Drop(vswitch.PortDown, len(c.out))
		}
	}
	c.out = nil
	c.wakeCompleter()
}

// wakeCompleter wakes completeFrames if a frame has unsent bytes.
func (c *connection) wakeCompleter() {
	if len(c.sender.unsent) > 0 {
		select {
		case c.stalled <- struct{}{}:
		default: // a wake-up is pending already
		}
	}
}

func (c *connection) writeOut(fd uintptr) { c.sender.send(fd, c.out) }

// completeFrames writes the unsent end of a frame as soon as the peer reads again, until the connection is closed: the next Transmit may
// come much later. If poll(2) fails, it tries again after a pause, during which frames are dropped as port-full.
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

// complete writes unsent bytes, and reports false if the peer has no room for all of them yet.
func (c *connection) complete(fd uintptr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sender.complete(fd)
}

// close ends every wait on the connection and closes the socket. It is idempotent. It must not hold mu while the socket closes: that waits
// for transmit and complete, and both take mu.
func (c *connection) close() {
	if c.closed.Swap(true) {
		return
	}
	c.Descriptor.Close() // the connection ends anyway, so an error has no consequence
	c.mu.Lock()
	c.sender.abandon()
	c.mu.Unlock()
	close(c.done)
}

// handOver returns the state of the stream and the descriptor, which the connection still owns. It reports false after close. Nothing is
// sent afterwards. It must not run at the same time as receive.
func (c *connection) handOver() (h handover.Socket, fd int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.Descriptor.Transmit(func(open uintptr) { fd = int(open) }) {
		return handover.Socket{}, 0, false
	}
	c.handedOver = true
	h.Received = c.decoder.remaining()
	h.Unsent, h.Begun = c.sender.handOver()
	return h, fd, true
}
