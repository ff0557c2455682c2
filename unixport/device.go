package unixport

import (
	"errors"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// socketBuffer is the size in bytes of the sockets' buffers: about sixteen of the largest frames.
const socketBuffer = 1 << 20

// mostNothing is the largest number of consecutive attempts without a packet or a connection before a port looks whether its socket was
// shut down. On such a socket poll(2) reports a packet or a connection although none has arrived.
const mostNothing = 4

// errShutDown means that another process has shut the socket down (shutdown(2)), which nothing reverses.
var errShutDown = errors.New("another process has shut the socket down")

// A device is an open socket.
type device struct {
	*descriptor.Descriptor
	interrupted, closed atomic.Bool
}

// newDevice returns a device that owns fd. After an error fd is closed.
func newDevice(fd int) (*device, error) {
	enlarge(fd)
	d, err := descriptor.New(fd)
	if err != nil {
		return nil, err
	}
	return &device{Descriptor: d}, nil
}

// enlarge sets the sizes of a socket's buffers: beyond the system's limit with CAP_NET_ADMIN, otherwise up to the limit (socket(7)). It
// leaves a buffer that is large enough, because a process with that capability may have set it.
func enlarge(fd int) {
	for _, option := range []struct{ force, normal int }{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if have, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option.normal); err == nil && have >= socketBuffer {
			continue
		}
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, option.force, socketBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option.normal, socketBuffer) // the kernel's default has room for three of the largest frames
		}
	}
}

// Interrupt implements vswitch.Interrupter.
func (d *device) Interrupt() {
	d.interrupted.Store(true)
	d.Descriptor.Interrupt()
}

// close ends every wait on the socket and closes it. It is idempotent.
func (d *device) close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.Descriptor.Close()
}

// hasHungUp reports whether the peer of a connected socket has hung up, also while some of its data is still unread.
func (d *device) hasHungUp() bool {
	var revents int16
	open := d.Descriptor.Transmit(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if _, err := unix.Poll(fds, 0); err == nil {
			revents = fds[0].Revents
		}
	})
	return !open || revents != 0
}

// nextBurst returns the frames of batch to send in one system call, at most limit, and the frames behind them. It drops frames above
// vswitch.MaxFrame, after which the peer of a stream could not decode the rest.
func nextBurst(batch []vswitch.Frame, limit int, counters *vswitch.Counters) (now, later []vswitch.Frame) {
	for len(batch) > 0 && len(batch[0].Data) > vswitch.MaxFrame {
		counters.Drop(vswitch.TooBig, 1)
		batch = batch[1:]
	}
	n := 0
	for n < min(len(batch), limit) && len(batch[n].Data) <= vswitch.MaxFrame {
		n++
	}
	return batch[:n], batch[n:]
}

// transmitReason returns the drop reason for an error of sendmsg(2) or sendmmsg(2).
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
