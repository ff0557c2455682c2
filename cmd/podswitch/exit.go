package main

import (
	"errors"
	"io/fs"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/host/supervise"
	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/unixport"
)

// The exit codes.
const (
	exitOK      = 0 // success, or asked to stop
	exitFailed  = 1 // failed at run time
	exitUsage   = 2 // invalid command line or VM document
	exitMissing = 3 // a privilege, a device or a kernel feature is missing, or in use elsewhere
)

// exitCode returns the exit code for an error. A fault is the error of the other process and has its own exit code; a code that
// denies the failure counts as exitFailed.
func exitCode(err error) int {
	var (
		usage    usageError
		conflict *plan.ConflictError
		path     *unixsocket.PathError
		socket   *unixport.PathError
		faults   model.Faults
		lacks    *missing.Error
		fault    *grant.Fault
		child    *supervise.ExitError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &child):
		return child.Code
	case errors.Is(err, errAgain):
		return exitAgain
	case errors.As(err, &fault):
		if fault.Code < exitFailed || fault.Code > exitMissing {
			return exitFailed
		}
		return fault.Code
	case errors.As(err, &usage), errors.As(err, &conflict), errors.As(err, &path), errors.As(err, &socket), errors.As(err, &faults):
		return exitUsage
	case errors.As(err, &lacks), errors.Is(err, fs.ErrPermission), errors.Is(err, podnet.ErrLocked), errors.Is(err, podnet.ErrTaken),
		errors.Is(err, podnet.ErrForeignState):
		return exitMissing
	}
	return exitFailed
}
