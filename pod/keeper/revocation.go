package keeper

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// errNotRevoked means that a process without the sandbox of a switch has kept the keeper from revoking a packet socket.
var errNotRevoked = errors.New("a switch has kept its socket from being revoked")

// A revocationError wraps errNotRevoked, and knows what may still succeed.
type revocationError struct {
	error
	revocation *revocation
}

func (e *revocationError) Unwrap() error { return e.error }

// noteUnrevoked notes the revocations of an error that switches have kept from ending.
func (l *loop) noteUnrevoked(err error) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			l.noteUnrevoked(one)
		}
		return
	}
	var failed *revocationError
	if errors.As(err, &failed) {
		l.unrevoked = append(l.unrevoked, failed.revocation)
	}
}

// tooManyUnrevoked reports whether switches keep too many sockets. A revocation that has only taken its time, as on a busy node, does not count
// any more.
func (l *loop) tooManyUnrevoked() bool {
	l.unrevoked = slices.DeleteFunc(l.unrevoked, (*revocation).hasSucceeded)
	return len(l.unrevoked) >= maxUnrevoked
}

// hasSucceeded reports whether the device is revoked.
func (r *revocation) hasSucceeded() bool {
	select {
	case <-r.ended:
		return r.err == nil
	default:
		return false
	}
}

// errHeld means that the revocation waits for another process.
var errHeld = errors.New("a process holds up the system calls for it")

// How long the keeper waits for a revocation, which takes some milliseconds.
const (
	revokePatience = 200 * time.Millisecond // before the address goes back
	revokeLimit    = time.Second            // otherwise: the machine may be busy
)

// A revocation takes a device from the switches that have a copy of its descriptor, in a goroutine of its own. A process without the sandbox of a
// switch can hold up its system calls without end: the kernel locks the socket for a system call of that process, and then waits for memory
// that the process provides itself (userfaultfd(2), FUSE). Not even SIGKILL ends the keeper's wait.
type revocation struct {
	ended chan struct{} // closed at the end
	err   error         // set before ended is closed; nil: the device is revoked
}

func startRevocation(revoke func() error) *revocation {
	r := &revocation{ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		if err := revoke(); err != nil {
			r.err = fmt.Errorf("%w: %w", errNotRevoked, err)
		}
	}()
	return r
}

// wait returns the result. The error wraps errNotRevoked, and errHeld if there is no result in time. A nil revocation has revoked nothing.
func (r *revocation) wait(limit time.Duration) error {
	if r == nil {
		return nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-r.ended:
		return r.err
	case <-timer.C:
		return fmt.Errorf("%w: %w", errNotRevoked, errHeld)
	}
}

// then calls f when the device is not in use by the revocation any more, at once if possible.
func (r *revocation) then(f func() error) error {
	if r == nil {
		return f()
	}
	select {
	case <-r.ended:
		return f()
	default:
		go func() {
			<-r.ended
			_ = f()
		}()
		return nil
	}
}
