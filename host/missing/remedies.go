package missing

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Directory returns the error for err, of a system call that makes a file in a directory: an *Error if the directory, or its volume, lacks
// something, and nil otherwise. other is the last part of the remedy, such as "name another path with --control".
func Directory(what, other string, err error) error {
	e := &Error{What: what, Err: err}
	switch {
	case errors.Is(err, syscall.EROFS):
		e.Need, e.Give = "a writable file system", "mount a volume there without readOnly, such as an emptyDir"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		e.Need = fmt.Sprintf("permission for user %d to write to its directory", os.Geteuid())
		e.Give = "set runAsUser to the owner of the directory, or securityContext.fsGroup of the pod"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Need, e.Give = "free space in its volume", "raise the sizeLimit of the emptyDir, or remove files from it"
	default:
		return nil
	}
	e.Give += "; or " + other
	return e
}

// GiveCapability returns the remedy for a missing capability, such as "NET_ADMIN". A container gives capabilities to root alone.
func GiveCapability(name string) string {
	return fmt.Sprintf("run as root; in a container with securityContext: runAsUser: 0, capabilities.add: [%s]", name)
}
