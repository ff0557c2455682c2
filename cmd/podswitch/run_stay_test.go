package main

import (
	"net"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// TestWaitEnds: --wait ends the switch, too, if a process listens that never grants anything, such as at the control socket.
func TestWaitEnds(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Cleanup(func() { signal.Reset(syscall.SIGHUP) })
	l, err := net.Listen("unix", keeperSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			c.Close()
		}
	}()
	_, stderr, code := do(t, "", "run", "--supervised", "--keeper", keeperSocket, "--wait", "1ns")
	if code != exitFailed || !strings.Contains(stderr, "no keeper within --wait 1ns") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
