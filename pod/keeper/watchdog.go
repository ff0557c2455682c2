package keeper

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// A watchdog is a process that restores the pod interface when the keeper has ended without doing so. It waits at the read end of a
// pipe, whose write end only the keeper has. The switch cannot do this: it has no privilege.
type watchdog struct {
	make  func(pipe *os.File) *exec.Cmd
	limit *rate.Limiter // of processes that replace one that was killed
	ended chan struct{} // closed when the process has ended, and none replaces it
	err   error         // why the process has failed; nil: it has not; set before ended is closed
	log   *zap.Logger

	mu      sync.Mutex // guards the following
	closing bool       // close was called
	pipe    *os.File   // write end
	command *exec.Cmd
}

// restoreTimeout is how long a watchdog may take to restore an interface.
const restoreTimeout = 5 * time.Second

// The bound of watchdogs that replace one that was killed.
const (
	watchdogBurst  = 5
	watchdogRefill = 10 * time.Second
)

// startWatchdog starts the command, which inherits the read end of the pipe.
func startWatchdog(command func(pipe *os.File) *exec.Cmd, log *zap.Logger) (*watchdog, error) {
	w := &watchdog{make: command, limit: rate.NewLimiter(rate.Every(watchdogRefill), watchdogBurst), ended: make(chan struct{}), log: log}
	if err := w.start(); err != nil {
		return nil, err
	}
	go w.wait()
	return w, nil
}

// start starts a process with a pipe of its own.
func (w *watchdog) start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return errors.New("the watchdog is not needed any more")
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	command := w.make(read)
	if err := command.Start(); err != nil {
		write.Close()
		return fmt.Errorf("start the watchdog: %w", err)
	}
	if w.pipe != nil {
		w.pipe.Close()
	}
	w.pipe, w.command = write, command
	return nil
}

// wait waits for the end of the process. Before close, that is an error, and another process replaces it: what it needs is in the state
// file.
func (w *watchdog) wait() {
	defer close(w.ended)
	for {
		w.err = w.command.Wait() // only start changes command, which this goroutine calls
		if w.isClosing() {
			return
		}
		w.err = errors.Join(errors.New("it has ended too early"), w.err)
		if !w.limit.Allow() {
			break
		}
		if err := w.start(); err != nil {
			w.err = errors.Join(w.err, err)
			break
		}
		w.log.Warn("watchdog ended, another one is started", zap.Error(w.err))
	}
	if !w.isClosing() {
		w.log.Warn("watchdog ended: run podswitch restore if this process is killed", zap.Error(w.err))
	}
}

func (w *watchdog) isClosing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closing
}

// end closes the pipe, and returns the process.
func (w *watchdog) end() *os.Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closing = true
	_, _ = w.pipe.Write([]byte{1}) // this is no kill: the watchdog does not wait for another keeper
	w.pipe.Close()
	return w.command.Process
}

// close closes the pipe and waits for the end of the process, which restores what the state file describes, if there is one. A nil
// watchdog has nothing to do.
func (w *watchdog) close() {
	if w == nil {
		return
	}
	process := w.end()
	timer := time.NewTimer(restoreTimeout)
	defer timer.Stop()
	select {
	case <-w.ended:
	case <-timer.C:
		_ = process.Kill()
		<-w.ended
	}
}

// failure returns why a closed watchdog has not restored the interface; nil: it has, or there was nothing to restore.
func (w *watchdog) failure() error {
	if w.err == nil {
		return nil
	}
	return fmt.Errorf("restore by the watchdog: %w", w.err)
}
