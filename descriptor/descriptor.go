package descriptor

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Descriptor is an open file in non-blocking mode. One goroutine may receive, any may transmit, and one may wait for room.
type Descriptor struct {
	fd     int
	wake   int // an eventfd(2), readable once Close was called
	closed atomic.Bool

	receive, transmit, drain role // Close waits for each of them
}

// A role is a use of the descriptor that keeps it open meanwhile.
type role struct {
	sync.Mutex
	waits [2]unix.PollFd
}

// New takes over an open file, which it makes non-blocking, and closes if there is an error.
func New(fd int) (*Descriptor, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("eventfd", err), unix.Close(fd))
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(wake), unix.Close(fd))
	}
	d := &Descriptor{fd: fd, wake: wake}
	d.receive.waits = [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
	d.drain.waits = [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}, {Fd: int32(wake), Events: unix.POLLIN}}
	return d, nil
}

// Receive calls try until it reports true, and waits before the next call until there is something to read, or an error to
// find. It returns net.ErrClosed once Close was called, and otherwise an error only if it cannot wait.
func (d *Descriptor) Receive(try func(fd uintptr) bool) error { return d.until(&d.receive, try) }

// Drain calls try until it reports true, and waits before the next call until there is room to write. Errors are as with
// Receive. It does not keep others from transmitting.
func (d *Descriptor) Drain(try func(fd uintptr) bool) error { return d.until(&d.drain, try) }

func (d *Descriptor) until(r *role, try func(fd uintptr) bool) error {
	r.Lock()
	defer r.Unlock()
	for inVain := 0; !d.closed.Load(); {
		if try(uintptr(d.fd)) {
			return nil
		}
		waits := r.waits[:]
		timeout := -1
		if inVain > 2 { // the kernel has said thrice that there is something, and there was nothing
			waits, timeout = waits[1:], restMilliseconds
		}
		n, err := unix.Poll(waits, timeout)
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		if n > 0 {
			inVain++
		}
	}
	return net.ErrClosed
}

// restMilliseconds is how long a wait rests that the kernel keeps ending for nothing: a socket that somebody else has shut
// down is ready for ever.
const restMilliseconds = 10

// Transmit calls f, or reports false if Close was called. One caller comes after the other.
func (d *Descriptor) Transmit(f func(fd uintptr)) bool {
	d.transmit.Lock()
	defer d.transmit.Unlock()
	if d.closed.Load() {
		return false
	}
	f(uintptr(d.fd))
	return true
}

// Close ends every wait and closes the file; it is idempotent. No function that was passed to another method may call it. It
// holds no lock while it waits for another, so that a caller's own lock may be taken before and within a role.
func (d *Descriptor) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	_, err := unix.Write(d.wake, []byte{7: 1}) // in either byte order a number that eventfd(2) takes
	for _, r := range []*role{&d.receive, &d.transmit, &d.drain} {
		r.Lock() // who uses the file is done with it, and nobody begins any more
		r.Unlock()
	}
	return errors.Join(err, unix.Close(d.fd), unix.Close(d.wake))
}
