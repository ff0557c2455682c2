package main

import (
	"fmt"
	"time"

	"github.com/podswitch/podswitch/host/limits"
	"github.com/podswitch/podswitch/host/sandbox"
)

// enterSandbox gives up every privilege that a switch does not need. With datagrams, the switch may still send to unix datagram
// sockets by path. The result describes the sandbox for podswitch status.
func enterSandbox(datagrams bool) (string, error) {
	program, _ := limits.FindProgram() // before the sandbox hides /proc
	r, err := sandbox.Enter(sandbox.Policy{Datagrams: datagrams})
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
