package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// timeout bounds the wait for an event that must happen. It suits a busy machine.
const timeout = 30 * time.Second

// await polls until condition returns nil.
func await(t *testing.T, what string, condition func() error) {
	t.Helper()
	awaitFor(t, timeout, what, condition)
}

// awaitFor is await with another timeout.
func awaitFor(t *testing.T, timeout time.Duration, what string, condition func() error) {
	t.Helper()
	deadline := time.After(timeout)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited %s for %s: %v", timeout, what, err)
		}
	}
}

// A process is a program in the background that collects its output.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended
	err  error         // valid once done

	mu     sync.Mutex
	output bytes.Buffer // stdout and stderr
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// start starts a program in a new process group, which is killed when the test ends.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return startCmd(t, exec.Command(name, args...))
}

func startCmd(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: strings.Join(cmd.Args, " "), cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = !cmd.SysProcAttr.Setsid // either makes a process group
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, p.text())
		}
	})
	return p
}

// awaitText waits until the program has written text.
func (p *process) awaitText(text string) {
	p.t.Helper()
	p.awaitFor(timeout, text)
}

// awaitFor is awaitText with another timeout.
func (p *process) awaitFor(timeout time.Duration, text string) {
	p.t.Helper()
	awaitFor(p.t, timeout, fmt.Sprintf("%q from %s", text, p.name), func() error {
		if strings.Contains(p.text(), text) {
			return nil
		}
		select {
		case <-p.done:
			p.t.Fatalf("%s has ended (%v) without %q:\n%s", p.name, p.err, text, p.text())
		default:
		}
		return errors.New("not yet")
	})
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// wait waits until the program has ended, and returns its exit code, or -1 if a signal has killed it.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(timeout):
		p.t.Fatalf("%s has not ended after %s", p.name, timeout)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stopTime bounds the time from SIGTERM to the end of podswitch. The address is back sooner (TestGiveBack), but the kernel takes long to close
// packet sockets and to remove tables, in particular on a busy machine.
const stopTime = 5 * time.Second

// stop sends SIGTERM and checks that the program ends with code 0 within stopTime.
func (p *process) stop() {
	p.t.Helper()
	asked := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		p.t.Errorf("%s: exit code %d, want 0\n%s", p.name, code, p.text())
	}
	if took := time.Since(asked); took > stopTime {
		p.t.Errorf("%s: took %s to stop, want at most %s", p.name, took, stopTime)
	}
}

// run runs a program to its end, and returns its output and exit code.
func run(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must runs a program, fails the test unless it succeeds, and returns its stdout.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, errs, code := run(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), code, out, errs)
	}
	return out
}

// write writes a file and returns its path.
func write(t *testing.T, path, content string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}
