package podnet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

const lockName = "lock"

// A process that ends, or that restores, holds the lock for a moment only. So Lock tries again at this interval, up to this time.
const (
	lockTimeout  = 500 * time.Millisecond
	lockInterval = 10 * time.Millisecond
)

// Lock reserves a state directory for this process, until the result is closed or the process ends. It creates the directory if it does
// not exist. If another process holds the lock for longer than half a second, the error is a *missing.Error that names that process and
// wraps ErrLocked.
func Lock(dir string) (io.Closer, error) {
	if err := makeStateDir(dir); err != nil {
		return nil, stateDirError(dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, stateDirError(dir, err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(fmt.Errorf("the lock of the state directory %s is no regular file (--state-dir selects another)", dir), err)
	}
	err = lockFile(f)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		defer f.Close()
		return nil, lockedError(dir, f)
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("lock the state directory %s: %w", dir, err)
	}
	// The process ID and its namespace only serve lockedError. They overwrite the old ones without truncating the file first, so that a full
	// disk does not prevent it. The lock holds even if the write fails.
	_, _ = f.WriteAt(fmt.Appendf(nil, "%-10d %-10d\n", os.Getpid(), processNamespace()), 0)
	return closer(func() error {
		// Closing alone is not enough: a forked child shares the open file description until it calls execve (flock(2)).
		return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
	}), nil
}

func lockFile(f *os.File) error {
	for deadline := time.Now().Add(lockTimeout); ; time.Sleep(lockInterval) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return err
		}
	}
}

func lockedError(dir string, f *os.File) error {
	text, _ := io.ReadAll(io.LimitReader(f, 32))
	return &missing.Error{
		What: "lock the state directory " + dir,
		Need: "exclusive use, but " + lockOwner(text, processNamespace()) + " holds the lock",
		Give: "stop that podswitch, or select another directory with --state-dir",
		Err:  ErrLocked,
	}
}

// lockOwner names the process that has written the text into the lock, for a process in a namespace. An earlier podswitch has written no
// namespace.
func lockOwner(text []byte, namespace uint64) string {
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	var (
		pid   int
		where uint64
	)
	switch n, _ := fmt.Sscan(string(line), &pid, &where); {
	case n == 0:
		return "another process"
	case n == 2 && where != 0 && namespace != 0 && where != namespace:
		return "podswitch in another container"
	}
	return fmt.Sprintf("process %d", pid)
}

// processNamespace returns the inode number of this process's PID namespace (namespaces(7)); 0: it is not known.
func processNamespace() uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return 0
	}
	return st.Ino
}
