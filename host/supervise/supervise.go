// Package supervise keeps a program running: it starts the program, starts it again when it has been killed, and passes on the request to end.
//
//	err := supervise.Run(ctx, supervise.Config{Path: "/proc/self/exe", Args: os.Args, Again: again, Log: log})
//
// The first process of a container is special in two ways (pid_namespaces(7)). When it ends, the kernel kills all other processes of the
// container. It is also the new parent of processes that have lost theirs, and has to wait for them. With a supervisor as the first process,
// the container outlives the program: its files and sockets stay where they are.
//
//	           start                       killed, or Again
//	stopped ──────────▶ running ─────────────────────────────────▶ stopped   if the limit allows another start
//	                       │ ctx is done                              │
//	                       ▼                                          ▼
//	                    stopping ── the program has ended ─────────▶ ended    with the exit code of the program
package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// The bounds of starts. If a program is killed more often, the supervisor ends, and the back-off of whatever has started the supervisor
// applies. If a program asks for another start more often, that start is delayed.
const (
	burst      = 5
	refill     = 10 * time.Second // after a kill
	againAfter = time.Second      // after Again
)

// A Config configures Run.
type Config struct {
	Path string   // the program
	Args []string // its arguments, with its name as the first one
	// Again reports whether a program that has ended with the exit code is started again. A program that a signal has killed is
	// always started again, within the bounds above, unless it was asked to end.
	Again func(code int) bool
	Log   *zap.Logger // not nil
}

// An ExitError is the end of a program with an exit code other than 0.
type ExitError struct{ Code int }

// Error says what has ended.
func (e *ExitError) Error() string {
	return fmt.Sprintf("the process has ended with exit code %d", e.Code)
}

// Run starts the program, and returns when it has ended and is not to be started again: nil, an *ExitError, or an error that says why
// there is no program any more. When ctx is done, the program gets SIGTERM. It also gets SIGTERM when this process is killed; if this is the
// first process of its namespace, the kernel kills the program instead. The program inherits all descriptors that are not marked
// close-on-exec. While Run runs, no other goroutine of this process may wait for a child.
func Run(ctx context.Context, cfg Config) error {
	runtime.LockOSThread() // Pdeathsig is sent when the thread that has started the program ends (prctl(2))
	defer runtime.UnlockOSThread()
	s := &supervisor{Config: cfg, ctx: ctx, kills: rate.NewLimiter(rate.Every(refill), burst), agains: rate.NewLimiter(rate.Every(againAfter), burst)}
	unregister := context.AfterFunc(ctx, s.stop)
	defer unregister()
	for {
		status, err := s.once()
		if err != nil {
			return err
		}
		if done, err := s.judge(status); done {
			return err
		}
	}
}

// A supervisor has one program at a time.
type supervisor struct {
	Config
	ctx           context.Context // of Run
	kills, agains *rate.Limiter   // of starts after the first one

	mu      sync.Mutex // guards the following
	program *os.Process
	stopped bool // the program was asked to end, or the next one is
}

// once starts the program and waits for its end.
func (s *supervisor) once() (syscall.WaitStatus, error) {
	pid, err := s.start()
	if err != nil {
		return 0, err
	}
	return waitFor(pid)
}

// start starts the program. It asks the program to end if ctx was done before.
func (s *supervisor) start() (pid int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	attributes := &syscall.SysProcAttr{}
	if os.Getpid() != 1 { // the kernel kills the children of process 1; a SIGTERM before that would make the kill look like a stop
		attributes.Pdeathsig = syscall.SIGTERM
	}
	s.program, err = os.StartProcess(s.Path, s.Args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: attributes})
	if err != nil {
		return 0, err
	}
	if s.stopped {
		_ = s.program.Signal(syscall.SIGTERM)
	}
	return s.program.Pid, nil
}

// stop asks the program to end. One that has ended gets no signal: the kernel finds it by a descriptor, not by its number.
func (s *supervisor) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.program != nil {
		_ = s.program.Signal(syscall.SIGTERM)
	}
}

// waitFor waits for the end of a child. Meanwhile it also waits for the children that this process has inherited.
func waitFor(pid int) (status syscall.WaitStatus, err error) {
	for {
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("wait4", err)
		case ended == pid:
			return status, nil
		}
	}
}

// judge decides what follows the end of the program.
func (s *supervisor) judge(status syscall.WaitStatus) (done bool, err error) {
	s.mu.Lock()
	stopped := s.stopped
	s.mu.Unlock()
	switch {
	case status.Exited() && !s.Again(status.ExitStatus()):
		return true, exitError(status.ExitStatus())
	case stopped && status.Signaled() && status.Signal() != unix.SIGTERM:
		return true, fmt.Errorf("the process was killed (%s) before it had ended as asked", status.Signal())
	case stopped: // it asks for another start, or SIGTERM has ended it before it caught signals
		return true, nil
	case status.Exited():
		return s.agains.Wait(s.ctx) != nil, nil
	case !s.kills.Allow():
		return true, fmt.Errorf("the process was killed too often (%s), and is not started again", status.Signal())
	}
	s.Log.Warn("process killed, starting it again", zap.Stringer("by", status.Signal()))
	return false, nil
}

func exitError(code int) error {
	if code == 0 {
		return nil
	}
	return &ExitError{code}
}
