package descriptor

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Descriptor is an open file in non-blocking mode. One goroutine at a time may be in Receive, and one in Drain; any goroutine may call
// the other methods, except where their comment says otherwise.
//
// Each of the three roles (receive, drain, transmit) holds a lock while it uses the file. Close works in three steps:
//
//  1. mark the Descriptor closed and both waits ended, and wake them: no role begins any more
//  2. acquire and release the lock of each role: no role is under way any more
//  3. close the file and the eventfds
type Descriptor struct {
	fd       int
	control  sync.Mutex  // held while a wait is ended or woken, so that Close does not close its eventfd in between
	closed   atomic.Bool // set by step 1
	receive  waiter
	drain    waiter
	transmit sync.Mutex
}

// A waiter waits for one kind of event on the file. Its lock is held during a call of retry.
type waiter struct {
	sync.Mutex
	ended  atomic.Bool
	wakeFD int            // an eventfd(2); each waiter has its own, so that Interrupt ends receiving and not draining
	polls  [2]unix.PollFd // the file and wakeFD
	turn   *Turn          // nil: the waiter polls by itself; written by the goroutine that waits and with control held
}

// New returns a Descriptor that owns fd, and sets non-blocking mode. After an error, which names the system call, fd is closed.
// New needs no privilege.
func New(fd int) (*Descriptor, error) {
	d := &Descriptor{fd: fd}
	if err := d.receive.prepare(fd, unix.POLLIN); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	if err := d.drain.prepare(fd, unix.POLLOUT); err != nil {
		return nil, errors.Join(err, unix.Close(d.receive.wakeFD), unix.Close(fd))
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(d.receive.wakeFD), unix.Close(d.drain.wakeFD), unix.Close(fd))
	}
	return d, nil
}

func (w *waiter) prepare(fd int, events int16) error {
	wakeFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	w.wakeFD = wakeFD
	w.polls = [2]unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(wakeFD), Events: unix.POLLIN}}
	return nil
}

// Receive calls attempt until it returns true. Between two calls it waits until the file is readable or has an error. Receive returns
// net.ErrClosed after Interrupt or Close; any other error means that poll(2) failed.
func (d *Descriptor) Receive(attempt func(fd uintptr) bool) error {
	return d.receive.retry(d.fd, attempt)
}

// SetTurn makes Receive share the thread of t's Loop: Receive then gives the other functions of the Loop their turns before each
// attempt. A nil Turn makes Receive wait by itself again. Only the goroutine that receives may call SetTurn, between calls of Receive.
func (d *Descriptor) SetTurn(t *Turn) {
	if d.receive.turn == t {
		return
	}
	d.control.Lock()
	defer d.control.Unlock()
	d.receive.turn = t
	if t != nil {
		t.wakePending.Store(true) // an Interrupt or Wake just before this call has only written to wakeFD
	}
}

// Yield gives the other functions of the Loop their turns. A receiver that has data of an earlier read in hand, and so does not wait,
// calls it between two calls of Receive. Without a Turn, Yield does nothing.
func (d *Descriptor) Yield() { d.receive.turn.yieldOnce() }

// Drain calls attempt until it returns true. Between two calls it waits until the file is writable or has an error. Drain returns
// net.ErrClosed after Close; any other error means that poll(2) failed. Transmit works during a Drain.
func (d *Descriptor) Drain(attempt func(fd uintptr) bool) error { return d.drain.retry(d.fd, attempt) }

// restMilliseconds is the pause after spurious events. A socket that another process has shut down is ready for ever, and where two
// processes receive from one socket, the other process may always be first; without the pause both cases would use a whole core.
const restMilliseconds = 10

// spuriousEvents is how many events without data are accepted in one call before the waiter rests.
const spuriousEvents = 2

// retry makes attempts until one succeeds or the waiter is ended.
func (w *waiter) retry(fd int, attempt func(fd uintptr) bool) error {
	w.Lock()
	defer w.Unlock()
	tryFirst := w.turn == nil // in a Loop, the other functions come first
	for spurious := 0; !w.ended.Load(); tryFirst = true {
		if tryFirst && attempt(uintptr(fd)) {
			return nil
		}
		ready, err := w.wait(spurious > spuriousEvents)
		if err != nil {
			return err
		}
		if ready {
			spurious++
		}
	}
	return net.ErrClosed
}

// wait reports whether the kernel has an event for the file. It reports false after a wake-up, a signal or a rest, during which it
// does not poll the file.
func (w *waiter) wait(rest bool) (ready bool, err error) {
	switch {
	case rest:
		w.turn.Leave()
		_, err = w.poll(w.polls[1:], restMilliseconds)
	case w.turn != nil:
		ready, err = w.turn.wait(w.polls[0])
	default:
		ready, err = w.poll(w.polls[:], -1)
	}
	return ready, os.NewSyscallError("poll", err)
}

func (w *waiter) poll(polls []unix.PollFd, milliseconds int) (ready bool, err error) {
	n, err := unix.Poll(polls, milliseconds)
	if n > 0 && polls[len(polls)-1].Revents != 0 {
		w.resetWake() // retry then looks whether the waiter is ended
		return false, nil
	}
	if err == unix.EINTR {
		return false, nil
	}
	return n > 0, err
}

// resetWake reads the eventfd, so that the next poll waits again. Only the goroutine that waits reads it.
func (w *waiter) resetWake() {
	var count [8]byte
	_, _ = unix.Read(w.wakeFD, count[:])
}

// wake ends the present wait, or the next one.
func (w *waiter) wake() error {
	if w.turn != nil {
		w.turn.wake()
	}
	_, err := unix.Write(w.wakeFD, eventfdCount())
	if err == unix.EAGAIN { // the counter is at its maximum, which ends a poll too
		return nil
	}
	return os.NewSyscallError("write", err)
}

// eventfdCount is a number that eventfd(2) accepts in either byte order.
func eventfdCount() []byte { return []byte{7: 1} }

// end makes the present and every later call of retry return net.ErrClosed.
func (w *waiter) end() error {
	if w.ended.Swap(true) {
		return nil
	}
	return w.wake()
}

// Transmit calls f with the file descriptor, and reports false without a call after Close. It serialises its callers.
func (d *Descriptor) Transmit(f func(fd uintptr)) bool {
	d.transmit.Lock()
	defer d.transmit.Unlock()
	if d.closed.Load() {
		return false
	}
	f(uintptr(d.fd))
	return true
}

// Interrupt ends receiving for good, so that another process can continue with the same file: Receive returns net.ErrClosed from now
// on, and a Receive that waits returns at once. An attempt under way still counts, so that no data that it has read is lost. Drain and
// Transmit work until Close. Interrupt is idempotent and does not wait.
func (d *Descriptor) Interrupt() {
	d.control.Lock()
	defer d.control.Unlock()
	_ = d.receive.end() // a write to an open eventfd does not fail
}

// Wake makes Receive attempt once more: the one that waits, or the next one that is about to wait. A port uses it for a condition that
// poll(2) does not report. Wake does nothing after Close.
func (d *Descriptor) Wake() {
	d.control.Lock()
	defer d.control.Unlock()
	if !d.closed.Load() {
		_ = d.receive.wake() // a write to an open eventfd does not fail
	}
}

// Close ends both waits and closes the file. It is idempotent. A function that was passed to another method must not call Close, which
// waits for that function. Close holds no lock while it waits, so a caller may hold a lock that such a function takes.
func (d *Descriptor) Close() error {
	first, err := d.endAll()
	if !first {
		return nil
	}
	for _, role := range []sync.Locker{&d.receive, &d.drain, &d.transmit} {
		role.Lock()
		role.Unlock() //nolint:staticcheck // the section is empty on purpose: it waits for the role's user
	}
	return errors.Join(err, unix.Close(d.fd), unix.Close(d.receive.wakeFD), unix.Close(d.drain.wakeFD))
}

// endAll ends both waits, and reports whether this is the first call.
func (d *Descriptor) endAll() (first bool, err error) {
	d.control.Lock()
	defer d.control.Unlock()
	if d.closed.Swap(true) {
		return false, nil
	}
	return true, errors.Join(d.receive.end(), d.drain.end())
}
