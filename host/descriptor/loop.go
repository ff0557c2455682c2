package descriptor

import (
	"iter"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A Loop runs functions by turns in one goroutine: while one waits for a Descriptor, the others go on, and one poll(2) waits for all of
// them. Each function is a coroutine: it is resumed where it waited, without the scheduler, and none of those that wait here runs beside
// another. What has to wait for something else than a Descriptor leaves for as long, and runs beside them.
//
// A frame that goes in and out in one thread wakes one thread on its way. On a machine that is idle otherwise that is most of what
// there is to save: a core that sleeps takes longer to wake than a switch takes to forward.
type Loop struct {
	wake  int           // an eventfd(2) that ends a poll
	ended chan struct{} // closed when the goroutine that polls has ended

	mu      sync.Mutex // guards the following
	closed  bool
	joining []*Turn // wait, and are not polled for yet

	// The following belong to the goroutine that polls.
	turns []*Turn
	polls []unix.PollFd
}

// NewLoop starts the thread of a Loop without functions, which belongs to the caller: Close it. An error names the system call.
func NewLoop() (*Loop, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	l := &Loop{wake: wake, ended: make(chan struct{})}
	go l.run()
	return l, nil
}

// Close ends a Loop; every Do has returned. It must not be called twice.
func (l *Loop) Close() error {
	l.mu.Lock()
	l.closed = true
	_, _ = unix.Write(l.wake, []byte{7: 1})
	l.mu.Unlock()
	<-l.ended
	return os.NewSyscallError("close", unix.Close(l.wake))
}

// Do calls f and returns when it has returned. What f receives from Descriptors that Share its Turn, it receives by turns with the
// functions of others that call Do; nobody receives from them by the Turn afterwards. f must not panic or end its goroutine, and not
// close a Descriptor that one of these waits for: Close would wait for the thread in which it is. Who calls Do is not locked to its
// thread.
func (l *Loop) Do(f func(*Turn)) {
	t := &Turn{loop: l, back: make(chan bool)}
	var stop func()
	t.resume, stop = iter.Pull(func(yield func(wish) bool) {
		t.yield = yield
		f(t)
	})
	defer stop()
	for {
		if _, more := t.resume(); !more { // it runs here until it waits
			return
		}
		l.join(t)
		if more := <-t.back; !more {
			return
		}
	}
}

func (l *Loop) join(t *Turn) {
	l.mu.Lock()
	l.joining = append(l.joining, t)
	l.mu.Unlock()
	l.rouse()
}

// rouse ends the poll that is made, or is about to be. A Loop that is closed has none.
func (l *Loop) rouse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		_, _ = unix.Write(l.wake, []byte{7: 1}) // one that is full wakes too
	}
}

func (l *Loop) run() {
	defer close(l.ended)
	for {
		timeout, more := l.gather()
		if !more {
			return
		}
		if _, err := unix.Poll(l.polls, timeout); err != nil && err != unix.EINTR {
			l.fail(err)
		}
		if l.polls[0].Revents != 0 {
			_, _ = unix.Read(l.wake, make([]byte, 8)) // before looking who is roused
		}
		l.round()
	}
}

// gather lists what to poll for, and says how long: who was roused before it joined is due, though what tells of that is read
// already. It reports false at the end.
func (l *Loop) gather() (timeout int, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	timeout = -1
	for _, t := range l.joining {
		t.inside = true
		l.turns = append(l.turns, t)
	}
	l.joining = l.joining[:0]
	l.polls = append(l.polls[:0], unix.PollFd{Fd: int32(l.wake), Events: unix.POLLIN})
	for _, t := range l.turns {
		l.polls = append(l.polls, t.poll)
		if t.passed || t.roused.Load() {
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

// round gives a turn to each function whose wait has ended.
func (l *Loop) round() {
	left := l.turns[:0]
	for i, t := range l.turns {
		t.poll.Revents = l.polls[1+i].Revents
		if t.due() && !l.resume(t) {
			continue
		}
		left = append(left, t)
	}
	clear(l.turns[len(left):])
	l.turns = left
}

// resume reports whether the function waits again.
func (l *Loop) resume(t *Turn) bool {
	next, more := t.resume()
	if more && next == toWait {
		return true
	}
	t.inside = false
	t.back <- more
	return false
}
