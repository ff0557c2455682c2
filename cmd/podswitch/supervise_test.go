package main

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commandVariable has the command line of a podswitch that the test's program becomes. SIGUSR1 makes it panic.
const commandVariable = "PODSWITCH_TEST_COMMAND"

func TestMain(m *testing.M) {
	if line, ok := os.LookupEnv(commandVariable); ok {
		panics := make(chan os.Signal, 1)
		signal.Notify(panics, syscall.SIGUSR1)
		go func() { panic(<-panics) }()
		os.Args = append(os.Args[:1], strings.Fields(line)...)
		main()
	}
	os.Exit(m.Run())
}

// TestSupervisedKeeperCrashesBySignal checks that the end of a supervised keeper by a panic is one after which its parent starts it again: no
// exit code, which would be that of a wrong command line.
func TestSupervisedKeeperCrashesBySignal(t *testing.T) {
	for _, line := range []string{"run --supervised --vm -", "keeper --supervised --listen /nonexistent/socket --vm -"} {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), commandVariable+"="+line)
		document, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer document.Close()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
		const room = 64 << 10 // of a pipe (pipe(7)): more is written when the process reads the document
		if _, err := document.Write(make([]byte, room+1)); err != nil {
			t.Fatal(err)
		}
		_ = c.Process.Signal(syscall.SIGUSR1)
		_ = c.Wait()
		timer.Stop()
		if status := c.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() {
			t.Errorf("%s: it ends with %v, want a signal", line, c.ProcessState)
		}
	}
}
