package podnet

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrTaken: another running podswitch has taken the address of this interface.
	ErrTaken = errors.New("its address is already taken by another podswitch")
	// ErrLocked: another process uses the state directory.
	ErrLocked = errors.New("the state directory is in use")
	// ErrStateExists: a state file is there, so an earlier run has not given back; Recover or Restore does.
	ErrStateExists = errors.New("a state file of an earlier run is there")
	// ErrForeignState: the state file is about another network namespace or another interface.
	ErrForeignState = errors.New("the state file belongs elsewhere")
	// ErrLinkGone: the interface does not exist any more; nothing can be put back and the state file is removed.
	ErrLinkGone = errors.New("the pod interface is gone, nothing can be put back")
)

// explain wraps err with what was being done, and turns a refusal for want of privilege into a *missing.Error.
// It returns nil for nil.
func explain(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return &missing.Error{
			What: what,
			Need: "CAP_NET_ADMIN in the pod's network namespace",
			Give: "run as root there, or add NET_ADMIN to the container's capabilities",
			Err:  err,
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}
