package descriptor

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Turn is the handle by which a function in a Loop waits. The function owns it while it runs, and the Loop while the function waits;
// other goroutines only call wake. A nil Turn belongs to no Loop.
type Turn struct {
	loop        *Loop
	wakePending atomic.Bool        // the function must attempt again, whatever poll(2) reports
	resume      func() (end, bool) // runs the function until its turn ends; false: the function has returned
	endTurn     func(end) bool     // suspends the function
	poll        unix.PollFd        // what the function waits for
	err         error              // why poll(2) failed
	inLoop      bool               // the function runs in the Loop's thread
	yielding    bool               // the function waits for no event, only for the others to have their turns
	leave       chan bool          // receives true when the function is to continue outside the Loop, false when it has returned
}

// An end is the reason for which a turn has ended.
type end int

const (
	endToWait  end = iota // for an event on a Descriptor
	endToLeave            // the Loop's thread
)

// Leave moves the function from the Loop's thread to the goroutine that called Do, until the function next waits for a Descriptor with
// this Turn. A function calls Leave before it waits for anything else, because the wait would block the other functions. Leave does
// nothing outside the Loop's thread or on a nil Turn.
func (t *Turn) Leave() {
	if t != nil && t.inLoop {
		t.endTurn(endToLeave)
	}
}

// wait gives the other functions their turns until there is an event, which wait reports, or a wake-up.
func (t *Turn) wait(poll unix.PollFd) (ready bool, err error) {
	t.poll = unix.PollFd{Fd: poll.Fd, Events: poll.Events}
	t.endTurn(endToWait)
	err, t.err = t.err, nil
	return err == nil && t.poll.Revents != 0, err
}

// yieldOnce gives each other function one turn. It does nothing outside the Loop's thread or on a nil Turn.
func (t *Turn) yieldOnce() {
	if t == nil || !t.inLoop {
		return
	}
	t.poll, t.yielding = unix.PollFd{Fd: -1}, true // poll(2) ignores a negative descriptor
	t.endTurn(endToWait)
	t.yielding, t.err = false, nil // a failed poll does not matter here: the function waits for no event
}

// isDue reports whether the wait is over. A pending wake-up is consumed only if there is no other reason.
func (t *Turn) isDue() bool {
	return t.yielding || t.poll.Revents != 0 || t.err != nil || t.wakePending.Swap(false)
}

// wake ends the present wait, or the next one. Any goroutine may call it.
func (t *Turn) wake() {
	t.wakePending.Store(true)
	t.loop.wake()
}
