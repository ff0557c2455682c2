package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// panics ends by a panic, which prints all goroutines.
func panics() error {
	go func() {
		var nothing map[string]int
		nothing["a"] = 1 //nolint:staticcheck // the fault is the point
	}()
	return idle()
}

// signalled waits for a signal that has no handler.
func signalled() error { return idle() }

// TestFatal ends children by a panic and by signals: traceback and signal are the same as without a sandbox.
func TestFatal(t *testing.T) {
	for _, c := range []struct {
		child  string
		signal syscall.Signal
		code   int
		says   string
	}{
		{child: "panic", code: 2, says: "assignment to entry in nil map"},
		{child: "signalled", signal: syscall.SIGQUIT, code: 2, says: "SIGQUIT"},
		{child: "signalled", signal: syscall.SIGABRT, code: 2, says: "SIGABRT"},
		{child: "signalled", signal: syscall.SIGTERM, code: -1},
		{child: "signalled", signal: syscall.SIGINT, code: -1},
		{child: "signalled", signal: syscall.SIGKILL, code: -1},
	} {
		t.Run(fmt.Sprint(c.child, " ", c.signal), func(t *testing.T) {
			t.Parallel()
			s := startChild(t, c.child, everything())
			if c.signal != 0 {
				if err := s.cmd.Process.Signal(c.signal); err != nil {
					t.Fatal(err)
				}
			}
			s.output.ReadString(0) // until the child's end
			_, state := s.end()
			if state.ExitCode() != c.code || !strings.Contains(s.errors.String(), c.says) {
				t.Errorf("%s, want the exit code %d and %q; it said:\n%s", state, c.code, c.says, s.errors)
			}
			if status := state.Sys().(syscall.WaitStatus); c.code < 0 && status.Signal() != c.signal {
				t.Errorf("%s, want the end by %s", state, c.signal)
			}
		})
	}
}

// rounds is the number of waits with a timeout of the stopped child.
const rounds = 40

// stopped makes the waits that the kernel continues with restart_syscall(2) after a stop.
func stopped() error {
	for range rounds {
		begin := time.Now()
		if _, err := unix.Poll(nil, 25); err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		<-time.After(time.Millisecond)
		if time.Since(begin) > testTimeout {
			return errors.New("a wait did not end")
		}
	}
	fmt.Println("done")
	return nil
}

// TestStop stops and continues a child that waits.
func TestStop(t *testing.T) {
	s := startChild(t, "stopped", everything())
	done := make(chan struct{}) // closed when the child has finished or failed
	go func() {
		defer close(done)
		s.output.ReadString('\n')
	}()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for going := true; going; {
		for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			select {
			case <-done:
				going = false
			case <-ticker.C:
				_ = s.cmd.Process.Signal(signal)
			}
		}
	}
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	s.wantSuccess()
}
