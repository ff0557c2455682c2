package unixsocket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxPath is the length of the longest path of a socket in bytes: sun_path has 108, the last one zero (unix(7)).
const MaxPath = 107

// Errors of Clear that callers tell apart with errors.Is.
var (
	// ErrNotSocket: something else is at the path.
	ErrNotSocket = errors.New("exists and is not a socket")
	// ErrHeld: another process holds the socket. With unix.EACCES that is not known, because it may not be looked for.
	ErrHeld = errors.New("another process holds the socket")
)

// Clear removes the file of a socket at path, if there is one and nobody holds it. Whether somebody does cannot be seen, without
// CAP_DAC_OVERRIDE, of one that was given to another user: where that is owner, it is one that a process before this one has left when
// it was killed. An owner of -1 is nobody.
func Clear(path string, owner int) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return ErrNotSocket
	}
	err = probe(path)
	if failed := (*os.SyscallError)(nil); errors.As(err, &failed) {
		return err
	}
	switch stat, ok := info.Sys().(*syscall.Stat_t); {
	case err == nil:
		return ErrHeld
	case err == unix.EACCES && ok && owner >= 0 && int(stat.Uid) == owner, err == unix.ECONNREFUSED:
	default:
		return fmt.Errorf("%w: %w", ErrHeld, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// probe connects to the socket at path: connection refused says that nobody holds it. The probe's type is one that no socket of ours
// with a file has: so the holder sees nothing of it, the kernel refuses it as of the wrong type. An *os.SyscallError says that it
// could not ask.
func probe(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if err == unix.EPROTOTYPE {
		return nil
	}
	return err
}
