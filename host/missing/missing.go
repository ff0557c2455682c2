// Package missing has the error type for what a machine lacks: a privilege, a device or a kernel feature.
//
//	return &missing.Error{What: "open tap tap0", Need: "CAP_NET_ADMIN", Give: "run as root", Err: err}
//
// Every package uses this type, from the system call to the exit code, so that a caller recognises such an error with errors.As. The
// package imports nothing else of the module.
package missing

import "fmt"

// An Error says that the fault is in the environment of the process and not in its input. The command exits with code 3 for it.
type Error struct {
	What string // the operation that failed, for example "open tap tap0"
	Need string // the missing thing, for example "CAP_NET_ADMIN"
	Give string // the remedy, for example "run as root"; may be empty
	Err  error  // the cause; may be nil
}

// Error returns "WHAT: needs NEED (GIVE): ERR", without the parts that are empty.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s: needs %s", e.What, e.Need)
	if e.Give != "" {
		text += " (" + e.Give + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
