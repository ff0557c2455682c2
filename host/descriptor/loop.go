package descriptor

import (
	"iter"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A Loop runs several functions in one thread, one at a time: while one waits for its Descriptor, the others run, and one poll(2) waits
// for all of them. Each function is a coroutine (iter.Pull), which a resume continues where it waited, without the scheduler.
//
// A frame that is received and transmitted in one thread wakes one thread on its way. On a mostly idle machine the wake-ups are most
// of the latency: waking a core takes longer than forwarding a frame.
//
// How a function moves between the two goroutines that can run it:
//
//  1. Do runs the function in the calling goroutine until it waits for a Descriptor that has its Turn.
//  2. join hands the suspended function to the Loop's goroutine and wakes its poll.
//  3. run repeats, in the Loop's goroutine:
//     gather lists the descriptors to poll; poll(2) waits; round resumes each function whose wait is over.
//  4. When the function calls Turn.Leave, resumeTurn takes it off the list and hands it back to Do, which goes on with step 1. The
//     function then waits for something else without holding up the others.
//  5. When the function returns, resumeTurn takes it off the list and Do returns.
//
// Only one of the two goroutines runs a function at any time: the channel Turn.leave and the mutex in join order their accesses.
type Loop struct {
	wakeFD int           // an eventfd(2) that ends a poll
	ended  chan struct{} // closed when run has returned

	mu      sync.Mutex // guards the following
	closed  bool
	joining []*Turn // wait, and are not polled for yet

	// The following belong to the goroutine of run.
	turns []*Turn
	polls []unix.PollFd // of wakeFD and of turns, in this order
}

// NewLoop returns a Loop without functions and starts its goroutine. The caller owns the Loop and closes it. An error names the system
// call that failed.
func NewLoop() (*Loop, error) {
	wakeFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	l := &Loop{wakeFD: wakeFD, ended: make(chan struct{})}
	go l.run()
	return l, nil
}

// Close ends the Loop. Every call of Do must have returned before, and Close must not be called twice.
func (l *Loop) Close() error {
	l.mu.Lock()
	l.closed = true
	_, _ = unix.Write(l.wakeFD, eventfdCount())
	l.mu.Unlock()
	<-l.ended
	return os.NewSyscallError("close", unix.Close(l.wakeFD))
}

// Do calls f with a new Turn and returns when f has returned. While f receives from a Descriptor that has this Turn (SetTurn), it runs in
// the Loop's thread. The Turn is not valid after Do has returned.
//
// f must not panic and must not call runtime.Goexit. f must not close a Descriptor that another function of the Loop waits for: Close
// would wait for the thread that it runs in. Do does not lock the calling goroutine to its thread.
func (l *Loop) Do(f func(*Turn)) {
	t := &Turn{loop: l, leave: make(chan bool)}
	var stop func()
	t.resume, stop = iter.Pull(func(yield func(end) bool) {
		t.endTurn = yield
		f(t)
	})
	defer stop()
	for {
		if _, waits := t.resume(); !waits {
			return
		}
		l.join(t)
		if left := <-t.leave; !left {
			return
		}
	}
}

func (l *Loop) join(t *Turn) {
	l.mu.Lock()
	l.joining = append(l.joining, t)
	l.mu.Unlock()
	l.wake()
}

// wake ends the present poll, or the next one. It does nothing after Close.
func (l *Loop) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		_, _ = unix.Write(l.wakeFD, eventfdCount()) // EAGAIN: the counter is at its maximum, which ends a poll too
	}
}

func (l *Loop) run() {
	defer close(l.ended)
	for {
		timeout, open := l.gather()
		if !open {
			return
		}
		if _, err := unix.Poll(l.polls, timeout); err != nil && err != unix.EINTR {
			l.fail(err)
		}
		if l.polls[0].Revents != 0 {
			_, _ = unix.Read(l.wakeFD, make([]byte, 8)) // before round reads wakePending, so that no wake-up is lost
		}
		l.round()
	}
}

// gather lists what to poll, and returns the timeout in milliseconds; -1 is none. It reports false after Close. The timeout is 0 if a
// function is due already: a wake-up before the function joined may have been read from wakeFD by an earlier iteration.
func (l *Loop) gather() (timeout int, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	timeout = -1
	for _, t := range l.joining {
		t.inLoop = true
		l.turns = append(l.turns, t)
	}
	l.joining = l.joining[:0]
	l.polls = append(l.polls[:0], unix.PollFd{Fd: int32(l.wakeFD), Events: unix.POLLIN})
	for _, t := range l.turns {
		l.polls = append(l.polls, t.poll)
		if t.yielding || t.wakePending.Load() {
			timeout = 0
		}
	}
	return timeout, !l.closed
}

// fail makes every wait fail.
func (l *Loop) fail(err error) {
	for _, t := range l.turns {
		t.err = err
	}
}

// round gives a turn to each function whose wait is over.
func (l *Loop) round() {
	left := l.turns[:0]
	for i, t := range l.turns {
		t.poll.Revents = l.polls[1+i].Revents
		if t.isDue() && !resumeTurn(t) {
			continue
		}
		left = append(left, t)
	}
	clear(l.turns[len(left):])
	l.turns = left
}

// resumeTurn runs the function for one turn, and reports whether it waits for a Descriptor again. Otherwise Do continues with it.
func resumeTurn(t *Turn) bool {
	reason, suspended := t.resume()
	if suspended && reason == endToWait {
		return true
	}
	t.inLoop = false
	t.leave <- suspended
	return false
}
