package main

import (
	"fmt"
	"time"

	"github.com/podswitch/podswitch/host/limits"
	"github.com/podswitch/podswitch/host/sandbox"
	"github.com/podswitch/podswitch/pod/dataplane"
)

// enterSandbox gives up every privilege that a switch does not need. The result describes the sandbox for podswitch status.
func enterSandbox(needs dataplane.Needs) (string, error) {
	program, _ := limits.FindProgram() // before the sandbox hides /proc
	r, err := sandbox.Enter(sandbox.Policy{Datagrams: needs.Datagrams, Descriptors: needs.Descriptors})
	if err != nil {
		return "", err
	}
	sandboxEntered()
	time.AfterFunc(settleTime, func() { _ = program.Release() })
	access := "no landlock"
	if r.Landlock > 0 {
		access = fmt.Sprintf("landlock %d", r.Landlock)
	}
	return fmt.Sprintf("no capabilities, %d system calls, %s", r.SystemCalls, access), nil
}
