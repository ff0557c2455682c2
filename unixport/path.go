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

// A PathError is the error for a path at which no socket can be created. The caller's input is wrong, and not the machine.
type PathError struct {
	Path string
	Why  string // the cause, and what is wanted
}

// Error returns `socket path "PATH": WHY`.
func (e *PathError) Error() string { return fmt.Sprintf("socket path %q: %s", e.Path, e.Why) }

// checkPath returns a *PathError unless path has 1 to 107 bytes, no zero byte, and no '@' at the start, which would name a socket without a
// file (abstract socket, unix(7)).
func checkPath(path string) error {
	switch {
	case path == "":
		return &PathError{path, "is empty; want a path of 1 to 107 bytes"}
	case len(path) > unixsocket.MaxPath:
		return &PathError{path, fmt.Sprintf("has %d bytes; want at most %d", len(path), unixsocket.MaxPath)}
	case strings.ContainsRune(path, 0):
		return &PathError{path, "has a zero byte"}
	case path[0] == '@':
		return &PathError{path, "starts with '@', which names a socket without a file; put ./ before it"}
	}
	return nil
}

// bind creates a non-blocking unix socket of the given type at path. It replaces the file of an ended process.
func bind(path string, kind, owner int) (int, *File, error) {
	if err := checkPath(path); err != nil {
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
	// The file gets the mode of the socket (unix_bind_bsd, net/unix/af_unix.c), so its mode is right from the start.
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

// clearPath removes the socket's file that an ended process has left at path.
func clearPath(path string, owner int) error {
	err := unixsocket.Clear(path, owner)
	what := fmt.Sprintf("bind the socket %q", path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unixsocket.ErrNotSocket):
		return &PathError{path, err.Error() + "; remove it, or name another path"}
	case !errors.Is(err, unixsocket.ErrHeld):
		return bindError(path, err)
	case errors.Is(err, unix.EACCES):
		return &missing.Error{What: what, Need: "permission to find out whether another process has it open",
			Give: "remove it if none has, or name another path", Err: err}
	}
	return &missing.Error{What: what, Need: "a path that no other process has open",
		Give: "end that process, or name another path", Err: err}
}

// bindError returns the error for an error of bind(2).
func bindError(path string, err error) error {
	what := fmt.Sprintf("bind the socket %q", path)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return &PathError{path, "its directory does not exist; create it, or name another path"}
	case errors.Is(err, unix.EADDRINUSE):
		return &missing.Error{What: what, Need: "a path that no other process has open", Give: "name another path", Err: err}
	}
	if lacks := missing.Directory(what, "name another path", err); lacks != nil {
		return lacks
	}
	return fmt.Errorf("%s: %w", what, err)
}
