package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// timeout bounds every wait. It is long enough for a machine under load.
const timeout = 30 * time.Second

// await polls until condition returns nil.
func await(t *testing.T, what string, condition func() error) {
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
			t.Fatalf("timeout of %s: wait for %s: %v", timeout, what, err)
		}
	}
}

// A process runs in the background, and collects its output.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed after it has ended

	mu     sync.Mutex
	output bytes.Buffer // guarded by mu
}

// Write implements io.Writer for the output of the process.
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

// start starts the first process of a process namespace, so that no child outlives it.
func start(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // ProcessState has the result
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("output of %s:\n%s", name, p.text())
		}
	})
	return p
}

// awaitText waits for text in the output.
func (p *process) awaitText(text string) {
	p.t.Helper()
	await(p.t, fmt.Sprintf("%q from %s", text, p.name), func() error {
		if strings.Contains(p.text(), text) {
			return nil
		}
		select {
		case <-p.done:
			p.t.Fatalf("%s has ended (%v) without %q:\n%s", p.name, p.cmd.ProcessState, text, p.text())
		default:
		}
		return errors.New("not yet")
	})
}

// wait waits for the end of the process and returns its exit code, or -1 if it was killed.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(timeout):
		p.t.Fatalf("%s has not ended", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop sends SIGTERM, as a kubelet does, and expects the exit code 0.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	if code := p.wait(); code != 0 {
		p.t.Errorf("%s: exit code %d, want 0\n%s", p.name, code, p.text())
	}
}

// kill kills the process. The kernel kills all its children, because it is the first process of its namespace.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	p.wait()
}

// must returns the output of a program that must succeed.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
