package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is a program in the background. What it and its children write is kept for the report of a failure.
type process struct {
	name    string
	cmd     *exec.Cmd
	started time.Time
	born    uint64        // as a stat has it
	done    chan struct{} // closed when it has ended

	mu     sync.Mutex
	output bytes.Buffer
	marker *regexp.Regexp // what tells that it is ready; nil for nothing
	ready  chan struct{}  // closed when the marker was written
	at     time.Time      // when that was; valid once ready
}

// ownSession keeps the terminal's interrupt from reaching a program before we have taken down what stands on it, and marks
// what it starts: a child whose parent ends gets another parent, but keeps its session.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// start starts a program in a namespace, in a session of its own. The marker is a regular expression for a line by which it,
// or a child of it, tells that it is ready; it may be empty.
func start(where namespace, marker string, args ...string) (*process, error) {
	p := &process{
		name:  args[0],
		cmd:   exec.Command(args[0], args[1:]...),
		done:  make(chan struct{}),
		ready: make(chan struct{}),
	}
	if marker != "" {
		expression, err := regexp.Compile("(?m)" + marker)
		if err != nil {
			return nil, fmt.Errorf("marker of %s: %w", args[0], err)
		}
		p.marker = expression
	}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = ownSession()
	p.cmd.WaitDelay = time.Second
	if _, err := p.cmd.StdinPipe(); err != nil { // some end with their standard input
		return nil, err
	}
	p.started = time.Now()
	if err := where.within(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", strings.Join(args, " "), err)
	}
	if own, err := statOf(p.pid()); err == nil { // nobody waits for it before this
		p.born = own.born
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
	if p.marker != nil && p.at.IsZero() && p.marker.Match(p.output.Bytes()) {
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
		return fmt.Errorf("%s has not written anything like %q in 15 s", filepath.Base(p.name), p.marker)
	}
}
