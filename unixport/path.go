package unixport

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/host/unixsocket"
)

// A PathError says that a path cannot be that of a socket: the command line is wrong, not the machine.
type PathError struct{ Path, Why string }

// Error reads `socket path "Path": Why`.
func (e *PathError) Error() string { return fmt.Sprintf("socket path %q: %s", e.Path, e.Why) }

// CheckPath tells whether path can be that of a unix socket: 1 to 107 bytes, no zero byte, and no '@' at the start, which
// would name a socket without a file. The error is a *PathError.
func CheckPath(path string) error {
	switch {
	case path == "":
		return &PathError{path, "is empty; want a path of 1 to 107 bytes"}
	case len(path) > unixsocket.MaxPath:
		return &PathError{path, fmt.Sprintf("has %d bytes; want at most %d", len(path), unixsocket.MaxPath)}
	case strings.ContainsRune(path, 0):
		return &PathError{path, "has a zero byte"}
	case path[0] == '@':
		return &PathError{path, "starts with '@', which would name a socket without a file; want ./ before it"}
	}
	return nil
}

// bind makes a non-blocking unix socket of the given type at path. A socket there that nobody holds any more is replaced.
func bind(path string, kind, owner int) (int, *File, error) {
	if err := CheckPath(path); err != nil {
		return -1, nil, err
	}
	if err := checkFolder(path); err != nil {
		return -1, nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, os.NewSyscallError("socket", err)
	}
	err = bindTo(fd, path, owner)
	if err == nil {
		var file *File
		if file, err = newFile(path, owner); err == nil {
			return fd, file, nil
		}
	}
	return -1, nil, errors.Join(err, unix.Close(fd))
}

func bindTo(fd int, path string, owner int) error {
	// The file inherits the mode of the socket (Linux, net/unix/af_unix.c, unix_bind_bsd): so it is never wider than wanted.
	if err := unix.Fchmod(fd, socketMode); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	err := unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	if err == unix.EADDRINUSE {
		if err := clearPath(path, owner); err != nil {
			return err
		}
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		return bindError(path, err)
	}
	return nil
}

// clearPath removes what a process that has ended has left at path.
func clearPath(path string, owner int) error {
	err := unixsocket.Clear(path, owner)
	what := fmt.Sprintf("bind the socket %q", path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unixsocket.ErrNotSocket):
		return &PathError{path, err.Error() + "; name another path, or remove it"}
	case !errors.Is(err, unixsocket.ErrHeld):
		return bindError(path, err)
	case errors.Is(err, unix.EACCES):
		return &missing.Error{What: what, Need: "the permission to look whether another process holds it",
			Give: "remove it if none does, or name another path", Err: err}
	}
	return &missing.Error{What: what, Need: "a path that no other process holds",
		Give: "end the process that holds it, or name another path", Err: err}
}

func bindError(path string, err error) error {
	what := fmt.Sprintf("bind the socket %q", path)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return &PathError{path, "its folder does not exist; create it, or name another path"}
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return &missing.Error{What: what, Need: "the permission to write to its folder", Give: "name another path", Err: err}
	case errors.Is(err, unix.EROFS):
		return &missing.Error{What: what, Need: "a folder that can be written to", Give: "name another path", Err: err}
	case errors.Is(err, unix.EADDRINUSE):
		return &missing.Error{What: what, Need: "a path that no other process holds", Give: "name another path", Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}
