package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is a program in the background. What it writes is kept for the report of a failure.
type process struct {
	name    string
	cmd     *exec.Cmd
	started time.Time
	done    chan struct{} // closed when it has ended

	mu     sync.Mutex
	output bytes.Buffer
	marker string        // what tells that it is ready; may be empty
	ready  chan struct{} // closed when the marker was written
	at     time.Time     // when that was; valid once ready
}

// ownGroup keeps the terminal's interrupt from reaching a program before we have taken down what stands on it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// start starts a program in a namespace, in a process group of its own.
func start(where namespace, marker string, args ...string) (*process, error) {
	p := &process{
		name:   args[0],
		cmd:    exec.Command(args[0], args[1:]...),
		done:   make(chan struct{}),
		marker: marker,
		ready:  make(chan struct{}),
	}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = ownGroup()
	p.cmd.WaitDelay = time.Second
	if _, err := p.cmd.StdinPipe(); err != nil { // some end with their standard input
		return nil, err
	}
	p.started = time.Now()
	if err := where.within(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", strings.Join(args, " "), err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is told by whoever misses it
		close(p.done)
	}()
	return p, nil
}

// Write keeps output and looks for the marker.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.output.Write(b)
	if p.marker != "" && p.at.IsZero() && strings.Contains(p.output.String(), p.marker) {
		p.at = time.Now()
		close(p.ready)
	}
	return len(b), nil
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// pid is that of the process itself, which may have children.
func (p *process) pid() int { return p.cmd.Process.Pid }

// alive returns an error when the process has ended.
func (p *process) alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %s", filepath.Base(p.name), p.cmd.ProcessState)
	default:
		return nil
	}
}

// awaitReady waits for the marker.
func (p *process) awaitReady() error {
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		return p.alive()
	case <-time.After(15 * time.Second):
		return fmt.Errorf("%s has not written %q in 15 s", filepath.Base(p.name), p.marker)
	}
}

// stop asks the process to end, and then ends it and what it has started in its group.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(3 * time.Second):
	}
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL) // fails where nobody is left
	<-p.done
}
