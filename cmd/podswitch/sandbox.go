package main

import (
	"fmt"
	"time"

	"github.com/podswitch/podswitch/host/limits"
	"github.com/podswitch/podswitch/host/sandbox"
)

// enterSandbox gives up everything that a switch does not need.
func enterSandbox(datagrams bool) (string, error) {
	program, _ := limits.FindProgram() // later there is no /proc
	r, err := sandbox.Enter(sandbox.Policy{Datagrams: datagrams})
	if err != nil {
		return "", err
	}
	sandboxEntered()
	time.AfterFunc(settleTime, func() { _ = program.LetGo() })
	access := "no landlock"
	if r.Landlock > 0 {
		access = fmt.Sprintf("landlock %d", r.Landlock)
	}
	return fmt.Sprintf("no capabilities, %d system calls, %s", r.SystemCalls, access), nil
}
