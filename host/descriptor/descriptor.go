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
	fd       int
	control  sync.Mutex  // held while waits are ended or roused; none of the roles is taken meanwhile
	closed   atomic.Bool // no role begins any more
	receive  waiting     // Close waits for each of the following
	drain    waiting
	transmit sync.Mutex
}

// A waiting is a use of the descriptor that waits, and keeps it open meanwhile.
type waiting struct {
	sync.Mutex
	ended atomic.Bool
	wake  int // an eventfd(2) that ends one wait; each has its own, so that one may go on without the other
	waits [2]unix.PollFd
	turn  *Turn // nil: it waits alone; changed by the one that waits, and read by others, with control held
}

// New takes over an open file, which it makes non-blocking, and closes if there is an error, which names the system call: what
// file it is, the caller knows. It needs no privilege.
func New(fd int) (*Descriptor, error) {
	d := &Descriptor{fd: fd}
	if err := d.receive.prepare(fd, unix.POLLIN); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	if err := d.drain.prepare(fd, unix.POLLOUT); err != nil {
		return nil, errors.Join(err, unix.Close(d.receive.wake), unix.Close(fd))
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(d.receive.wake), unix.Close(d.drain.wake), unix.Close(fd))
	}
	return d, nil
}

func (w *waiting) prepare(fd int, events int16) error {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	w.wake = wake
	w.waits = [2]unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(wake), Events: unix.POLLIN}}
	return nil
}

// Receive calls try until it reports true, and waits before the next call until there is something to read, or an error to
// find. It returns net.ErrClosed once Interrupt or Close was called, and otherwise an error only if it cannot wait.
func (d *Descriptor) Receive(try func(fd uintptr) bool) error { return d.receive.until(d.fd, try) }

// SetTurn makes Receive wait by turns with others in one thread: it lets them have theirs before it tries. A nil Turn ends that. The
// goroutine that receives calls it, between two calls of Receive.
func (d *Descriptor) SetTurn(t *Turn) {
	if d.receive.turn == t {
		return
	}
	d.control.Lock()
	defer d.control.Unlock()
	d.receive.turn = t
	if t != nil {
		t.roused.Store(true) // somebody may have done so just before
	}
}

// Yield lets those that share the thread have their turns, before one that need not wait takes what it has in hand. The goroutine that
// receives calls it, between two calls of Receive.
func (d *Descriptor) Yield() { d.receive.turn.pass() }

// Drain calls try until it reports true, and waits before the next call until there is room to write. It returns net.ErrClosed
// once Close was called, and otherwise an error only if it cannot wait. It does not keep others from transmitting.
func (d *Descriptor) Drain(try func(fd uintptr) bool) error { return d.drain.until(d.fd, try) }

func (w *waiting) until(fd int, try func(fd uintptr) bool) error {
	w.Lock()
	defer w.Unlock()
	look := w.turn == nil // who takes turns gives the others theirs first
	for inVain := 0; !w.ended.Load(); look = true {
		if look && try(uintptr(fd)) {
			return nil
		}
		ready, err := w.wait(inVain > 2) // the kernel has said thrice that there is something, and there was nothing
		if err != nil {
			return err
		}
		if ready {
			inVain++
		}
	}
	return net.ErrClosed
}

// wait reports whether the kernel says that there is something to do; other waits end because somebody wants it so, or for nothing.
// One that rests does not ask for its file.
func (w *waiting) wait(rest bool) (ready bool, err error) {
	switch {
	case rest:
		w.turn.Leave()
		_, err = w.pollFor(w.waits[1:], restMilliseconds)
	case w.turn != nil:
		ready, err = w.turn.wait(w.waits[0])
	default:
		ready, err = w.pollFor(w.waits[:], -1)
	}
	return ready, os.NewSyscallError("poll", err)
}

func (w *waiting) pollFor(waits []unix.PollFd, timeout int) (ready bool, err error) {
	n, err := unix.Poll(waits, timeout)
	if n > 0 && waits[len(waits)-1].Revents != 0 {
		w.awake() // who waits then looks whether that is the end
		return false, nil
	}
	if err == unix.EINTR {
		return false, nil
	}
	return n > 0, err
}

// awake takes back what rouse has written.
func (w *waiting) awake() {
	var count [8]byte
	_, _ = unix.Read(w.wake, count[:]) // only the one that waits reads it, and only when there is something
}

// rouse makes the one that waits look again.
func (w *waiting) rouse() error {
	if w.turn != nil {
		w.turn.rouse()
	}
	_, err := unix.Write(w.wake, []byte{7: 1}) // in either byte order a number that eventfd(2) takes
	if err == unix.EAGAIN {                    // it is full, and wakes too
		return nil
	}
	return os.NewSyscallError("write", err)
}

// end makes the one that waits return, and whoever comes after it.
func (w *waiting) end() error {
	if w.ended.Swap(true) {
		return nil
	}
	return w.rouse()
}

// restMilliseconds is how long a wait rests that the kernel keeps ending for nothing: a socket that somebody else has shut
// down is ready for ever, and where two processes receive from one, the other may always be first.
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

// Interrupt ends receiving for good, so that another process that has the same file can go on with it: Receive returns
// net.ErrClosed from now on, also to the one that waits; a try that is being made still counts, so that nothing which it has
// taken out of the kernel is lost. Drain and Transmit work on until Close. Interrupt is idempotent, and waits for nobody.
func (d *Descriptor) Interrupt() {
	d.control.Lock()
	defer d.control.Unlock()
	_ = d.receive.end() // an open eventfd takes it
}

// Wake makes the Receive that waits call try once more, or the next one that is about to wait: there is something that the
// kernel does not tell it. After Close it does nothing.
func (d *Descriptor) Wake() {
	d.control.Lock()
	defer d.control.Unlock()
	if !d.closed.Load() {
		_ = d.receive.rouse() // an open eventfd takes it
	}
}

// Close ends every wait and closes the file; it is idempotent. No function that was passed to another method may call it. It
// holds no lock while it waits for another, so that a caller's own lock may be taken before and within a role.
func (d *Descriptor) Close() error {
	first, err := d.endAll()
	if !first {
		return nil
	}
	for _, role := range []sync.Locker{&d.receive, &d.drain, &d.transmit} {
		role.Lock()   // who uses the file is done with it, and nobody begins any more
		role.Unlock() //nolint:staticcheck // the section is empty on purpose
	}
	return errors.Join(err, unix.Close(d.fd), unix.Close(d.receive.wake), unix.Close(d.drain.wake))
}

// endAll reports whether it was the first to end everything.
func (d *Descriptor) endAll() (first bool, err error) {
	d.control.Lock()
	defer d.control.Unlock()
	if d.closed.Swap(true) {
		return false, nil
	}
	return true, errors.Join(d.receive.end(), d.drain.end())
}
