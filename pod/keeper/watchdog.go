package keeper

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"go.uber.org/zap"
)

// A watchdog is a process that restores the pod interface when the keeper has ended without doing so. It waits at the read end of a
// pipe, whose write end only the keeper has. The switch cannot do this: it has no privilege.
type watchdog struct {
	pipe    *os.File // write end
	command *exec.Cmd
	closing chan struct{} // closed by close
	ended   chan struct{} // closed when the process has ended
	err     error         // why the process has failed; nil: it has not; set before ended is closed
	log     *zap.Logger
}

// restoreTimeout is how long a watchdog may take to restore an interface.
const restoreTimeout = 5 * time.Second

// startWatchdog starts the command, which inherits the read end of the pipe.
func startWatchdog(command func(pipe *os.File) *exec.Cmd, log *zap.Logger) (*watchdog, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	w := &watchdog{pipe: write, command: command(read), closing: make(chan struct{}), ended: make(chan struct{}), log: log}
	if err := w.command.Start(); err != nil {
		write.Close()
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	go w.wait()
	return w, nil
}

// wait waits for the end of the process, which is an error before close.
func (w *watchdog) wait() {
	defer close(w.ended)
	w.err = w.command.Wait()
	select {
	case <-w.closing:
	default:
		w.err = errors.Join(errors.New("it has ended too early"), w.err)
		w.log.Warn("watchdog ended: run podswitch restore if this process is killed", zap.Error(w.err))
	}
}

// close closes the pipe and waits for the end of the process, which restores what the state file describes, if there is one. A nil
// watchdog has nothing to do.
func (w *watchdog) close() {
	if w == nil {
		return
	}
	close(w.closing)
	_, _ = w.pipe.Write([]byte{1}) // this is no kill: the watchdog does not wait for another keeper
	w.pipe.Close()
	timer := time.NewTimer(restoreTimeout)
	defer timer.Stop()
	select {
	case <-w.ended:
	case <-timer.C:
		_ = w.command.Process.Kill()
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
