package podnet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

const lockName = "lock"

// How long, and how often, a lock is tried: a process that ends, or one that restores, holds it for a moment only.
const (
	lockPatience = 500 * time.Millisecond
	lockEvery    = 10 * time.Millisecond
)

// Lock makes this process the one that uses a state directory, until the result is closed or the process ends in any
// way. It creates the directory if need be. While another process holds it, for longer than half a second, the error is a *missing.Error that names that
// process and wraps ErrLocked.
func Lock(dir string) (io.Closer, error) {
	if err := makeStateDir(dir); err != nil {
		return nil, fmt.Errorf("make the state directory %s: %w; --state-dir names another", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the state directory: %w; --state-dir names another", err)
	}
	err = flock(f)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		defer f.Close()
		return nil, lockedBy(dir, f)
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("lock the state directory %s: %w", dir, err)
	}
	// The number only serves a message. It is written over the old one, without truncating first, so that it needs no room
	// on a disk that has filled up since; and if it cannot be written, the lock holds all the same.
	_, _ = f.WriteAt(fmt.Appendf(nil, "%-10d\n", os.Getpid()), 0)
	return closer(func() error {
		// Not by closing alone: a child that was being forked may hold the file open for a moment.
		return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
	}), nil
}

func flock(f *os.File) error {
	for until := time.Now().Add(lockPatience); ; time.Sleep(lockEvery) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(until) {
			return err
		}
	}
}

func lockedBy(dir string, f *os.File) error {
	holder := "another process"
	text, _ := io.ReadAll(io.LimitReader(f, 16))
	if pid, err := strconv.Atoi(string(bytes.TrimSpace(text))); err == nil {
		holder = fmt.Sprintf("process %d", pid)
	}
	return &missing.Error{
		What: "use the state directory " + dir,
		Need: "it for itself, but " + holder + " uses it",
		Give: "stop that podswitch, or name another directory with --state-dir",
		Err:  ErrLocked,
	}
}
