package main

import (
	"net"
	"os/signal"
	"syscall"
	"testing"

	"github.com/podswitch/podswitch/pod/grant"
)

// TestOutlivesTerminal checks that a switch of another process's keeper ignores a hangup of its terminal.
func TestOutlivesTerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Cleanup(func() { signal.Reset(syscall.SIGHUP) })
	ctx, stop := signal.NotifyContext(t.Context(), stopSignals()...)
	defer stop()
	l, err := net.Listen("unix", keeperSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, args := range [][]string{{"run", "--keeper", keeperSocket, "--wait", "0s"}, {"run", "--takeover", "--state-dir", "."}} {
		signal.Reset(syscall.SIGHUP)
		ended := make(chan int, 1)
		go func() { ended <- run(ctx, args, nil, t.Output(), t.Output()) }()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn := grant.NewConn(c.(*net.UnixConn))
		if _, _, err := conn.Receive(); err != nil {
			t.Fatal(err)
		}
		if !signal.Ignored(syscall.SIGHUP) || ctx.Err() != nil {
			t.Errorf("%q: SIGHUP is ignored: %t; context: %v", args, signal.Ignored(syscall.SIGHUP), ctx.Err())
		}
		_ = conn.Send(grant.Message{Fault: &grant.Fault{Text: "the end", Code: exitFailed}})
		if code := <-ended; code != exitFailed {
			t.Errorf("%q: exit code %d", args, code)
		}
		conn.Close()
	}
}
