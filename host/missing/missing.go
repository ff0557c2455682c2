// Package missing names what a machine lacks: a privilege, a device or a kernel feature.
//
// It is a leaf that every room may use, so that one kind of fault has one shape from the system call to the exit code.
package missing

import "fmt"

// An Error says that something outside podswitch has to be there first. The command exits with code 3 for it.
type Error struct {
	What string // what was wanted, for example "open the tap tap0"
	Need string // what is missing, for example "CAP_NET_ADMIN"
	Give string // what would give it, for example "run as root, or let root create the tap with an owner"; may be empty
	Err  error  // the cause; may be nil
}

// Error reads "What: needs Need (Give): cause".
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

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
