package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/keeper"
	"github.com/podswitch/podswitch/pod/podnet"
)

// A watchdog waits until the keeper has ended, and restores the pod interface if the keeper has not done so.
type watchdog struct {
	end      int           // descriptor of a socket; the keeper has the other end of the pair
	dir      string        // the state directory
	hold     time.Duration // after the keeper was killed
	holdStop time.Duration // after it has stopped and left the address taken
	log      *zap.Logger
	isDoomed bool // the kernel may kill this process with the keeper: the keeper, or its supervisor, is the first process of the namespace
}

// A process that is killed releases its locks and addresses one after the other. The watchdog retries until all are released.
const (
	watchdogAttempts = 100
	watchdogPause    = 10 * time.Millisecond
	holdPause        = 100 * time.Millisecond // between two looks for another keeper
	doomTime         = 500 * time.Millisecond // for the kernel to end the processes of a namespace
	relieveTime      = 5 * time.Second        // for another keeper to start a watchdog of its own, if it has the lock
)

func (w *watchdog) run(ctx context.Context) (err error) {
	end, err := keeper.Watch(w.end)
	switch {
	case err != nil:
		return fmt.Errorf("watch the keeper: %w", err)
	case end == keeper.EndRegular:
		_, err = w.restore()
		return err
	case w.isDoomed:
		// The kernel closes the keeper's files first, and kills this process then. A restoration that it interrupts would leave the
		// interface with an address that the next keeper cannot continue with.
		time.Sleep(doomTime)
	}
	hold, text := w.hold, "the keeper was killed"
	if end == keeper.EndPaused {
		hold, text = w.holdStop, "the keeper has stopped, and left the pod address for the next one"
	}
	if w.isRelieved(ctx, hold, text) {
		w.log.Info("watchdog: another keeper continues")
		return nil
	}
	report, err := w.restore()
	if err == nil {
		w.log.Warn("watchdog: "+text, zap.String("report", report))
	}
	return err
}

// restore restores the interface as soon as the resources of the keeper are released.
func (w *watchdog) restore() (report string, err error) {
	for range watchdogAttempts {
		if report, err = podnet.Restore(w.dir); !errors.Is(err, podnet.ErrLocked) && !errors.Is(err, podnet.ErrTaken) {
			break
		}
		time.Sleep(watchdogPause)
	}
	return report, err
}

// isRelieved waits for the hold time, and reports whether another keeper continues. That keeper has had the lock of the state directory for long
// enough to have a watchdog of its own. The kernel does not answer for the address meanwhile, because no interface has it. A signal ends the
// wait.
func (w *watchdog) isRelieved(ctx context.Context, hold time.Duration, text string) bool {
	if pending, err := podnet.Pending(w.dir); pending == nil && err == nil { // the address was muted
		return false
	}
	if hold > 0 {
		w.log.Warn("watchdog: "+text+", waiting for another one", zap.Duration("for", hold))
	}
	var since time.Time // when another keeper was seen first; zero: there is none
	for end := time.Now().Add(hold); time.Now().Before(end) || !since.IsZero(); {
		switch lock, err := podnet.Lock(w.dir); { // waits longer than the kernel takes to release the lock of the first keeper
		case err == nil:
			since = time.Time{}
			_ = lock.Close()
		case !errors.Is(err, podnet.ErrLocked):
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > relieveTime:
			return true
		}
		select {
		case <-time.After(holdPause):
		case <-ctx.Done():
			return !since.IsZero()
		}
	}
	return false
}
