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

// A process is a program in the background. It keeps the output of the program and its children for error messages.
type process struct {
	name    string
	cmd     *exec.Cmd
	started time.Time
	born    uint64        // stat.born
	done    chan struct{} // closed when the program has ended

	mu     sync.Mutex
	output bytes.Buffer
	marker *regexp.Regexp // matches the output of a program that is ready; nil for none
	ready  chan struct{}  // closed when the marker was written
	at     time.Time      // time of that; valid once ready is closed
}

// ownSession starts a program in a new session. An interrupt from the terminal does not reach it, so that measure can stop programs in
// order. The session identifies its descendants: a process whose parent ends gets another parent, but stays in its session.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// start starts a program in a namespace, in a new session. marker is a regular expression for a line that the program or a child prints
// when it is ready; it may be empty.
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
	if _, err := p.cmd.StdinPipe(); err != nil { // some programs end at the end of their standard input
		return nil, err
	}
	p.started = time.Now()
	if err := where.within(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", strings.Join(args, " "), err)
	}
	if own, err := statOf(p.pid()); err == nil { // it cannot be reaped before the Wait below
		p.born = own.born
	}
	go func() {
		_ = p.cmd.Wait() // alive reports the end
		close(p.done)
	}()
	return p, nil
}

// Write keeps output and searches it for the marker.
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

// pid returns the id of the process itself, without children.
func (p *process) pid() int { return p.cmd.Process.Pid }

// alive returns an error if the process has ended.
func (p *process) alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %s", filepath.Base(p.name), p.cmd.ProcessState)
	default:
		return nil
	}
}

// awaitReady waits until the marker was printed.
func (p *process) awaitReady() error {
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		return p.alive()
	case <-time.After(15 * time.Second):
		return fmt.Errorf("%s has not printed %q within 15 s", filepath.Base(p.name), p.marker)
	}
}
