package keeper

import (
	"fmt"
	"os"
	"os/exec"
	"time"

	"go.uber.org/zap"
)

// A watchdog is a process that restores the pod interface when this one has ended without doing so: it notices by the end of
// a pipe. Nobody else could: a switch may not.
type watchdog struct {
	pipe    *os.File // our end
	command *exec.Cmd
	ended   chan struct{}
}

// restoreTimeout is how long a watchdog may take to put an interface back.
const restoreTimeout = 5 * time.Second

// startWatchdog starts it.
func startWatchdog(command func(pipe *os.File) *exec.Cmd, log *zap.Logger) (*watchdog, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c := command(theirs)
	if err := c.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	w := &watchdog{pipe: ours, command: c, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		if err := c.Wait(); err != nil {
			log.Warn("the watchdog has ended: if this process is killed, podswitch restore is needed", zap.Error(err))
		}
	}()
	return w, nil
}

// close lets the watchdog look whether there is something to restore, and sees to its end.
func (w *watchdog) close() {
	if w == nil {
		return
	}
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
