package keeper

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// A watchdog is a process that restores the pod interface when the keeper has ended without doing so. It waits at one end of a pair of
// sockets, whose other end only the keeper has (Watch). The switch cannot do this: it has no privilege.
type watchdog struct {
	make  func(end *os.File) *exec.Cmd
	limit *rate.Limiter // of processes that replace one that was killed
	ended chan struct{} // closed when the process has ended, and none replaces it
	err   error         // why the process has failed; nil: it has not; set before ended is closed
	log   *zap.Logger

	mu      sync.Mutex   // guards the following
	closing bool         // close was called
	pair    *os.File     // this process's end
	guarded map[byte]int // duplicates of the descriptors that guard was called with, by message
	command *exec.Cmd
}

// restoreTimeout is how long a watchdog may take to restore an interface.
const restoreTimeout = 5 * time.Second

// The bound of watchdogs that replace one that was killed.
const (
	watchdogBurst  = 5
	watchdogRefill = 10 * time.Second
)

// startWatchdog starts the command, which inherits the watchdog's end of the pair.
func startWatchdog(command func(end *os.File) *exec.Cmd, log *zap.Logger) (*watchdog, error) {
	w := &watchdog{make: command, limit: rate.NewLimiter(rate.Every(watchdogRefill), watchdogBurst), ended: make(chan struct{}), guarded: map[byte]int{}, log: log}
	if err := w.start(); err != nil {
		return nil, err
	}
	go w.wait()
	return w, nil
}

// start starts a process with a pair of its own.
func (w *watchdog) start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return errors.New("the watchdog is not needed any more")
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	own, theirs := os.NewFile(uintptr(pair[0]), "end of the watchdog's pair"), os.NewFile(uintptr(pair[1]), "the watchdog's end")
	defer theirs.Close()
	command := w.make(theirs)
	if err := command.Start(); err != nil {
		own.Close()
		return fmt.Errorf("start the watchdog: %w", err)
	}
	if w.pair != nil {
		w.pair.Close()
	}
	w.pair, w.command = own, command
	w.sendGuarded(watchUplink)
	w.sendGuarded(watchEgress)
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

// guard makes the watchdog revoke a port if this process is killed, with the descriptor in place of the one before: a switch that is stopped
// does not notice that its keeper has ended, and would go on beside the kernel. Ports of other kinds are not revoked. A nil watchdog does
// nothing.
func (w *watchdog) guard(p *port) {
	if w == nil || p.handle == nil || p.uplink == nil && p.egress == nil {
		return
	}
	message := byte(watchUplink)
	if p.egress != nil {
		message = watchEgress
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropGuarded(message)
	own, err := unix.FcntlInt(uintptr(p.handle.fd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		w.log.Warn("the watchdog has no descriptor of a port", zap.String("port", p.name), zap.Error(err))
		return
	}
	w.guarded[message] = own
	w.sendGuarded(message)
}

// sendGuarded sends a descriptor to the process, without waiting: the process may be stopped.
func (w *watchdog) sendGuarded(message byte) {
	fd, ok := w.guarded[message]
	if !ok || w.closing {
		return
	}
	if err := unix.Sendmsg(int(w.pair.Fd()), []byte{message}, unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil {
		w.log.Warn("the watchdog has no descriptor of a port", zap.Error(err))
	}
}

// dropGuarded closes descriptors; no message means all.
func (w *watchdog) dropGuarded(messages ...byte) {
	if len(messages) == 0 {
		messages = slices.Collect(maps.Keys(w.guarded))
	}
	for _, m := range messages {
		if fd, ok := w.guarded[m]; ok {
			_ = unix.Close(fd)
			delete(w.guarded, m)
		}
	}
}

// end closes the pair after a last message, and returns the process.
func (w *watchdog) end(message byte) *os.Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closing = true
	_ = unix.Sendmsg(int(w.pair.Fd()), []byte{message}, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	w.pair.Close()
	w.dropGuarded()
	return w.command.Process
}

// leave closes the pair of a watchdog that outlives the keeper, and restores the interface unless another keeper continues.
func (w *watchdog) leave() {
	if w != nil {
		w.end(watchPause)
	}
}

// close closes the pair and waits for the end of the process, which restores what the state file describes, if there is one. A nil
// watchdog has nothing to do.
func (w *watchdog) close() {
	if w == nil {
		return
	}
	process := w.end(watchEnd)
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
