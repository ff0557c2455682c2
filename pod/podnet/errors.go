package podnet

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// Errors that the errors of this package wrap.
var (
	// ErrTaken means that another running podswitch has taken, muted or silenced this interface.
	ErrTaken = errors.New("another podswitch has the interface's address")
	// ErrLocked means that another process holds the lock of the state directory.
	ErrLocked = errors.New("the state directory is in use")
	// ErrStateExists means that an earlier process took the addresses and did not give them back. RestoreLocked and Restore do.
	ErrStateExists = errors.New("the state file of an earlier run exists")
	// ErrForeignState means that the state file describes another network namespace or another interface.
	ErrForeignState = errors.New("the state file does not belong to this interface")
	// ErrLinkGone means that the interface no longer exists. Nothing can be restored, and the state file is removed.
	ErrLinkGone = errors.New("the pod interface is gone, nothing can be restored")
)

// explain wraps err with the operation that failed. EPERM becomes a *missing.Error that names the capability. A nil err stays nil.
func explain(operation string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return &missing.Error{
			What: operation,
			Need: "CAP_NET_ADMIN in the pod's network namespace",
			Give: missing.GiveCapability("NET_ADMIN"),
			Err:  err,
		}
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// stateDirError returns the error for an error of making a file in the state directory, or the directory itself.
func stateDirError(dir string, err error) error {
	what, other := "use the state directory "+dir, "name another directory with --state-dir"
	if lacks := missing.Directory(what, other, err); lacks != nil {
		return lacks
	}
	return fmt.Errorf("%s: %w (%s)", what, err, other)
}

// notRestorable returns the error for a property of the pod interface that GiveBack could not write; what is "restore the ...".
func notRestorable(what, property string) error {
	return &missing.Error{
		What: what + " later",
		Need: fmt.Sprintf("one without %s, which podswitch does not know", property),
		Give: "configure it differently",
	}
}

// isLasting reports whether err is a refusal of the kernel for a reason that will not pass: the object depends on something that does not
// exist or is down, such as a source address or the interface of a next hop. Lack of privilege, memory or time is no such reason.
func isLasting(err error) bool {
	var number unix.Errno
	return errors.As(err, &number) && !isErrno(number, unix.EPERM, unix.EACCES, unix.EAGAIN, unix.EINTR, unix.EBUSY, unix.ENOMEM, unix.ENOBUFS)
}
