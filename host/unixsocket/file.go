package unixsocket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxPath is the largest length in bytes of a socket's path: sun_path has 108 bytes, and the last one is zero (unix(7)).
const MaxPath = 107

// Errors of Clear, for errors.Is.
var (
	// ErrNotSocket means that the path is that of another kind of file.
	ErrNotSocket = errors.New("exists and is not a socket")
	// ErrHeld means that another process has the socket open. If the error is also unix.EACCES, this process has no permission to find out.
	ErrHeld = errors.New("another process has the socket open")
)

// Clear removes the socket's file at path that an ended process has left. It does nothing if path does not exist. The error is ErrNotSocket
// or ErrHeld if the file must stay, or that of a system call.
//
// Without CAP_DAC_OVERRIDE, Clear cannot find out whether a process has another user's socket open. If that user is owner, Clear removes the
// file: an earlier run of this program, which was killed, has given it to that user. An owner of -1 matches no user.
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

// probe connects to the socket at path. ECONNREFUSED means that no process has it open, and nil that one has. The probe is a seqpacket
// socket, a type that podswitch does not bind to a file: the kernel refuses the connection with EPROTOTYPE, so that the process does not
// notice it. An *os.SyscallError means that the probe itself could not be created.
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
