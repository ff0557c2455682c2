package descriptor

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Turn is what a function in a Loop waits by. It belongs to the function, and to the loop while that waits; from other goroutines it
// is only roused.
type Turn struct {
	loop   *Loop
	roused atomic.Bool         // the function shall look again, whatever the kernel says
	resume func() (wish, bool) // goes on with the function until it waits or leaves; false: it has returned
	yield  func(wish) bool     // ends a turn
	poll   unix.PollFd         // what the function waits for
	err    error               // why it could not
	inside bool                // it runs in the loop's thread
	passed bool                // it waits for nothing but the turns of the others
	back   chan bool           // has a value when it is to go on outside, or has returned: false
}

// A wish is why a turn has ended.
type wish int

const (
	toWait wish = iota
	toLeave
)

// Leave is called before waiting for anything else than a Descriptor that shares the Turn: the function goes on in the goroutine that
// has called Do, until it waits for such a one. Elsewhere, and for a nil Turn, it does nothing.
func (t *Turn) Leave() {
	if t != nil && t.inside {
		t.yield(toLeave)
	}
}

// wait lets the others have their turns until the kernel has something, which it reports, or somebody has roused the function.
func (t *Turn) wait(poll unix.PollFd) (ready bool, err error) {
	t.poll = unix.PollFd{Fd: poll.Fd, Events: poll.Events}
	t.yield(toWait)
	err, t.err = t.err, nil
	return err == nil && t.poll.Revents != 0, err
}

// pass lets the others have their turns, if there may be others.
func (t *Turn) pass() {
	if t == nil || !t.inside {
		return
	}
	t.poll, t.passed = unix.PollFd{Fd: -1}, true // poll(2) ignores such a one
	t.yield(toWait)
	t.passed, t.err = false, nil // a poll that failed is no matter of who does not wait for the kernel
}

// due tells whether the wait is over. Who is roused is so until it looks for no other reason.
func (t *Turn) due() bool {
	return t.passed || t.poll.Revents != 0 || t.err != nil || t.roused.Swap(false)
}

// rouse makes the function look again, now or when it waits the next time. Any goroutine may call it.
func (t *Turn) rouse() {
	t.roused.Store(true)
	t.loop.rouse()
}
