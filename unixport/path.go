package unixport

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/missing"
)

// maxPath is the longest path of a socket in bytes: sun_path has 108, the last one zero (unix(7)).
const maxPath = 107

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
	case len(path) > maxPath:
		return &PathError{path, fmt.Sprintf("has %d bytes; want at most %d", len(path), maxPath)}
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
		if err := removeStale(path, owner); err != nil {
			return err
		}
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		return bindError(path, err)
	}
	return nil
}

// removeStale removes the socket at path, if it is one and nobody holds it. Whether somebody does cannot be seen of one that was given
// to its owner, without CAP_DAC_OVERRIDE: it is one that a keeper before this one has left when it was killed.
func removeStale(path string, owner int) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return &PathError{path, "exists and is not a socket; name another path, or remove it"}
	}
	switch err := probe(path); err {
	case unix.ECONNREFUSED:
	case unix.EACCES:
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && owner >= 0 && int(stat.Uid) == owner {
			break
		}
		return &missing.Error{What: fmt.Sprintf("bind the socket %q", path), Need: "the permission to look whether another process holds it",
			Give: "remove it if none does, or name another path", Err: err}
	default:
		return &missing.Error{What: fmt.Sprintf("bind the socket %q", path), Need: "a path that no other process holds",
			Give: "end the process that holds it, or name another path", Err: err}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return bindError(path, err)
	}
	return nil
}

// probe connects to the socket at path: connection refused says that nobody holds it. The probe's type is one that no port
// has: so the holder sees nothing of it, the kernel refuses it as of the wrong type.
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
