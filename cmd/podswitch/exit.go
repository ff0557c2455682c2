package main

import (
	"errors"
	"io/fs"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/unixport"
)

// The exit codes.
const (
	exitOK      = 0 // done, or asked to stop
	exitFailed  = 1 // failed while running
	exitUsage   = 2 // a wrong command line or an invalid document
	exitMissing = 3 // a privilege, a device or a kernel feature is missing, or in other hands
)

func exitCode(err error) int {
	var (
		usage    usageError
		conflict *plan.ConflictError
		path     *unixsocket.PathError
		socket   *unixport.PathError
		faults   model.Faults
		lacks    *missing.Error
		fault    *grant.Fault
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &fault): // the other process says it, and that nothing is wrong it cannot say
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
