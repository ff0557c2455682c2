package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/host/unixsocket"
)

// A PathError says that the socket cannot be at a path.
type PathError struct{ Path, Why string }

// Error reads "control socket Path: Why".
func (e *PathError) Error() string { return fmt.Sprintf("control socket %s: %s", e.Path, e.Why) }

// socketMode lets the owner alone connect, which takes the permission to write (unix(7)).
const socketMode = 0o600

// Listen makes the socket, readable and writable by its owner alone: the user owner, or the process's own if owner is -1. Its
// folder is made, with mode 0700, or 0711 for another owner, when it is not there. A socket that nobody listens to any more is
// replaced. The error is a *PathError when path cannot be the socket's or others could replace it there, and a *missing.Error when another process
// listens, or the machine does not let it be.
func Listen(path string, owner int) (net.Listener, error) {
	if len(path) > unixsocket.MaxPath {
		return nil, &PathError{path, fmt.Sprintf("the path has %d bytes, at most %d are possible", len(path), unixsocket.MaxPath)}
	}
	folder := filepath.Dir(path)
	mode := fs.FileMode(0o700)
	if owner != -1 && owner != os.Geteuid() {
		mode = 0o711 // who gets the socket has to reach it
	}
	if err := os.MkdirAll(folder, mode); err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	if err := checkFolder(path, folder, owner); err != nil {
		return nil, err
	}
	if err := clearPath(path, owner); err != nil {
		return nil, err
	}
	// The file gets the mode of the socket when it is bound (Linux, net/unix/af_unix.c, unix_bind_bsd): it is never wider.
	narrow := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		_, err := descriptor.BorrowRaw(c, func(fd int) (struct{}, error) {
			return struct{}{}, os.NewSyscallError("fchmod", unix.Fchmod(fd, socketMode))
		})
		return err
	}}
	l, err := narrow.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	if owner == -1 {
		return l, nil
	}
	if err := os.Lchown(path, owner, -1); err != nil {
		_ = l.Close()
		return nil, &missing.Error{What: fmt.Sprintf("give the control socket %s to the user %d", path, owner), Need: "CAP_CHOWN",
			Give: "run as root, or as that user", Err: err}
	}
	return l, nil
}

// checkFolder says who else could put another socket in the place of this one. The top of a volume is let pass: an emptyDir
// of Kubernetes has the mode 0777, and is reached by the containers alone that mount it.
func checkFolder(path, folder string, owner int) error {
	var stat unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, folder, 0, unix.STATX_TYPE|unix.STATX_MODE|unix.STATX_UID, &stat)
	if err != nil {
		return fmt.Errorf("control socket %s: look at its folder: %w", path, os.NewSyscallError("statx", err))
	}
	if stat.Mode&unix.S_ISVTX != 0 || stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return nil
	}
	if uid := int(stat.Uid); uid != 0 && uid != os.Geteuid() && uid != owner {
		return &PathError{path, fmt.Sprintf("the user %d could replace it, who owns its folder %s; "+
			"want a folder of root's or of one's own", uid, folder)}
	}
	if stat.Mode&0o022 != 0 {
		return &PathError{path, fmt.Sprintf("others could replace it, because its folder %s has the mode %04o; "+
			"want one that its owner alone can write to, such as 0700", folder, stat.Mode&0o7777)}
	}
	return nil
}

// clearPath removes what a process that has ended has left at path.
func clearPath(path string, owner int) error {
	switch err := unixsocket.Clear(path, owner); {
	case err == nil:
		return nil
	case errors.Is(err, unixsocket.ErrNotSocket):
		return &PathError{path, err.Error() + "; name another path with --control"}
	case errors.Is(err, unixsocket.ErrHeld):
		return &missing.Error{What: "control socket " + path, Need: "a path that no other process listens on",
			Give: "stop the other podswitch, or name another path with --control", Err: err}
	default:
		return fmt.Errorf("control socket %s: %w", path, err)
	}
}
