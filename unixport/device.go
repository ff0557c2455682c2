package unixport

import (
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// socketBuffer is the size in bytes that the sockets' buffers shall have: some sixteen of the largest frames.
const socketBuffer = 1 << 20

// A device is an open socket.
type device struct {
	*descriptor.Descriptor
	interrupted, closed atomic.Bool
}

// newDevice takes over the socket.
func newDevice(fd int) (*device, error) {
	enlarge(fd)
	d, err := descriptor.New(fd)
	if err != nil {
		return nil, err
	}
	return &device{Descriptor: d}, nil
}

// enlarge gives a socket its buffers, beyond the system's limit where that is allowed, and up to it otherwise. What somebody with
// more rights has made large is left.
func enlarge(fd int) {
	for _, option := range []struct{ force, normal int }{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if have, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option.normal); err == nil && have >= socketBuffer {
			continue
		}
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, option.force, socketBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option.normal, socketBuffer) // the kernel's default holds three of the largest frames
		}
	}
}

// Interrupt ends receiving for good: it returns net.ErrClosed from now on, also to the one that waits. Transmitting works on.
func (d *device) Interrupt() {
	d.interrupted.Store(true)
	d.Descriptor.Interrupt()
}

// close ends what waits on the socket; it is idempotent.
func (d *device) close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.Descriptor.Close()
}

// gone tells whether the peer of a connected socket has hung up, even if not all that it had sent is read.
func (d *device) gone() bool {
	var revents int16
	open := d.Descriptor.Transmit(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if _, err := unix.Poll(fds, 0); err == nil {
			revents = fds[0].Revents
		}
	})
	return !open || revents != 0
}

// cut returns what of a batch can be sent at once, at most so many frames, and what comes behind. It takes out and counts frames that
// are longer than any may be: of such a one, a peer would lose its place in a stream.
func cut(batch []vswitch.Frame, most int, counters *vswitch.Counters) (now, later []vswitch.Frame) {
	for len(batch) > 0 && len(batch[0].Data) > vswitch.MaxFrame {
		counters.Drop(vswitch.TooBig, 1)
		batch = batch[1:]
	}
	n := 0
	for n < min(len(batch), most) && len(batch[n].Data) <= vswitch.MaxFrame {
		n++
	}
	return batch[:n], batch[n:]
}

// transmitReason maps an error of a send to the reason under which the frames are counted.
func transmitReason(err syscall.Errno) vswitch.Reason {
	switch err {
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		return vswitch.PortFull
	case unix.EPIPE, unix.ECONNRESET, unix.ENOTCONN, unix.ECONNREFUSED, unix.ENOENT:
		return vswitch.PortDown
	case unix.EMSGSIZE:
		return vswitch.TooBig
	}
	return vswitch.TransmitError
}
