package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podswitch/podswitch/pod/keeper"
	"github.com/podswitch/podswitch/pod/podnet"
)

// A watchdog waits until the keeper has ended, and restores the pod interface if the keeper has not done so.
type watchdog struct {
	end      int    // descriptor of a socket; the keeper has the other end of the pair
	dir      string // the state directory
	hold     time.Duration
	isDoomed bool // the keeper is the first process of its namespace, whose end the kernel makes the end of this process
}

// A process that is killed releases its locks and addresses one after the other. The watchdog retries until all are released.
const (
	watchdogAttempts = 100
	watchdogPause    = 10 * time.Millisecond
	holdPause        = 100 * time.Millisecond // between two looks for another keeper
	doomTime         = 500 * time.Millisecond // for the kernel to end the processes of a namespace
)

func (w *watchdog) run(ctx context.Context) (err error) {
	wasKilled, err := keeper.Watch(w.end)
	if err != nil {
		return fmt.Errorf("watch the keeper: %w", err)
	}
	if wasKilled && w.isDoomed {
		// The kernel closes the keeper's files first, and kills this process then. A restoration that it interrupts would leave the
		// interface with an address that the next keeper cannot continue with.
		time.Sleep(doomTime)
	}
	if wasKilled && w.isRelieved(ctx) {
		return nil
	}
	for range watchdogAttempts {
		if _, err = podnet.Restore(w.dir); !errors.Is(err, podnet.ErrLocked) && !errors.Is(err, podnet.ErrTaken) {
			return err
		}
		time.Sleep(watchdogPause)
	}
	return err
}

// isRelieved waits for the hold time, and reports whether another keeper continues: it then has the lock of the state directory. The
// kernel does not answer for the address during the wait, because no interface has it. A signal ends the wait.
func (w *watchdog) isRelieved(ctx context.Context) bool {
	for end := time.Now().Add(w.hold); time.Now().Before(end); {
		switch lock, err := podnet.Lock(w.dir); { // waits longer than the kernel takes to release the lock of the first keeper
		case errors.Is(err, podnet.ErrLocked):
			return true
		case err == nil:
			_ = lock.Close()
		}
		select {
		case <-time.After(holdPause):
		case <-ctx.Done():
			return false
		}
	}
	return false
}
