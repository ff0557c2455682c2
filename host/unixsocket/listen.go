package unixsocket

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
)

// A Spec describes a listening stream socket with a file.
type Spec struct {
	Path  string // of the socket's file, at most MaxPath bytes
	Owner int    // user id that the file is given to; -1: it stays the process's own
	Name  string // what errors call the socket, such as "control socket"
	Flag  string // the flag that sets Path, such as "--control", which errors name as the remedy
}

// A PathError reports a path at which the socket cannot be made: the command line is wrong.
type PathError struct {
	Name, Path string // as the Spec has them
	Why        string // the cause, and the remedy
}

// Error returns "Name Path: Why".
func (e *PathError) Error() string { return fmt.Sprintf("%s %s: %s", e.Name, e.Path, e.Why) }

// socketMode lets the owner alone connect, because connect(2) needs the permission to write to the file (unix(7)).
const socketMode = 0o600

// A Listener is a listening stream socket with a file.
type Listener struct {
	*net.UnixListener
	made []string // directories that Listen has made, the innermost first
}

// Close closes the socket, and removes its file and the directories that Listen has made, if nothing else is in them.
func (l *Listener) Close() error {
	err := l.UnixListener.Close()
	removeAll(l.made)
	return err
}

// Replace closes the socket, and listens anew at its path. Other processes that have a copy of its descriptor accept no connection any more. The
// Spec must be that of Listen, or is the first one for a socket of ListenHidden. After an error nothing is left of the socket.
func (l *Listener) Replace(s Spec) (*Listener, error) {
	_, _ = descriptor.Borrow(l, func(fd int) (struct{}, error) { return struct{}{}, unix.Shutdown(fd, unix.SHUT_RDWR) })
	_ = l.UnixListener.Close()
	next, err := Listen(s)
	if err != nil {
		removeAll(l.made)
		return nil, err
	}
	next.made = append(next.made, l.made...)
	return next, nil
}

// Listen makes a listening stream socket whose file its owner alone may read and write. It makes the directory of the file if that
// does not exist, with mode 0700, or 0711 if the socket is given to another user. It replaces the file of a socket that no process
// holds. Closing the listener removes what Listen has made.
//
// The error is a *PathError if the path is too long, is the path of another file, or is in a directory in which other users could
// replace the socket. It is a *missing.Error if another process holds the socket, or if this process may not give it to the owner.
func Listen(s Spec) (l *Listener, err error) {
	if len(s.Path) > MaxPath {
		return nil, s.pathError("the path has %d bytes; want at most %d (%s)", len(s.Path), MaxPath, s.another())
	}
	made := absent(filepath.Dir(s.Path))
	defer func() {
		if err != nil {
			removeAll(made)
		}
	}()
	if err := s.prepareDirectory(); err != nil {
		return nil, err
	}
	if err := s.clear(); err != nil {
		return nil, err
	}
	socket, err := s.bind()
	if err != nil {
		return nil, s.wrap(err)
	}
	l = &Listener{socket, made}
	if s.Owner == -1 {
		return l, nil
	}
	if err := os.Lchown(s.Path, s.Owner, -1); err != nil {
		_ = socket.Close()
		return nil, &missing.Error{What: fmt.Sprintf("give the %s %s to the user %d", s.Name, s.Path, s.Owner), Need: "CAP_CHOWN",
			Give: missing.GiveCapability("CHOWN") + "; or run as that user", Err: err}
	}
	return l, nil
}

// ListenHidden makes a listening stream socket without a file, at an abstract address that the kernel chooses (unix(7), autobind).
func ListenHidden() (*Listener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix"})
	if err != nil {
		return nil, err
	}
	return &Listener{UnixListener: l}, nil
}

// bind makes the socket and its file. The kernel gives the file the mode that the socket has when it is bound (Linux,
// net/unix/af_unix.c, unix_bind_bsd), so the file is never accessible to other users.
func (s Spec) bind() (*net.UnixListener, error) {
	narrow := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		_, err := descriptor.BorrowRaw(c, func(fd int) (struct{}, error) {
			return struct{}{}, os.NewSyscallError("fchmod", unix.Fchmod(fd, socketMode))
		})
		return err
	}}
	l, err := narrow.Listen(context.Background(), "unix", s.Path)
	if err != nil {
		return nil, err
	}
	return l.(*net.UnixListener), nil // what package net returns for the network "unix"
}

// prepareDirectory makes the directory of the socket, and checks that no other user could put another socket in its place.
func (s Spec) prepareDirectory() error {
	directory := filepath.Dir(s.Path)
	mode := fs.FileMode(0o700)
	if s.Owner != -1 && s.Owner != os.Geteuid() {
		mode = 0o711 // the owner of the socket has to reach it
	}
	if err := makeDirectories(directory, mode); err != nil {
		return s.wrap(err)
	}
	return s.checkDirectory(directory)
}

// absent returns the directories of a path that do not exist, the innermost first.
func absent(directory string) (list []string) {
	for {
		if _, err := os.Lstat(directory); !errors.Is(err, fs.ErrNotExist) {
			return list
		}
		list = append(list, directory)
		directory = filepath.Dir(directory)
	}
}

// removeAll removes empty directories.
func removeAll(list []string) {
	for _, directory := range list {
		_ = os.Remove(directory) // it stays if something else is in it
	}
}

// makeDirectories is os.MkdirAll, except that each directory that it makes has the mode whatever the umask is. It does not change
// directories that exist.
func makeDirectories(directory string, mode fs.FileMode) error {
	if _, err := os.Stat(directory); !errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(directory, mode) // exists, or is the error of a directory
	}
	if parent := filepath.Dir(directory); parent != directory {
		if err := makeDirectories(parent, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(directory, mode); errors.Is(err, fs.ErrExist) {
		return os.MkdirAll(directory, mode) // another process has made it meanwhile
	} else if err != nil {
		return err
	}
	return os.Chmod(directory, mode)
}

// checkDirectory accepts the root of a mount with any mode: an emptyDir volume of Kubernetes has the mode 0777, and only the
// containers that mount it reach it.
func (s Spec) checkDirectory(directory string) error {
	var stat unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, directory, 0, unix.STATX_TYPE|unix.STATX_MODE|unix.STATX_UID, &stat)
	if err != nil {
		return s.wrap(fmt.Errorf("check the directory: %w", os.NewSyscallError("statx", err)))
	}
	if stat.Mode&unix.S_ISVTX != 0 || stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return nil
	}
	if uid := int(stat.Uid); uid != 0 && uid != os.Geteuid() && uid != s.Owner {
		return s.pathError("the user %d could replace the socket, because the directory %s is that user's (want one that belongs to root or to this process's user; "+
			"in a container, the root of a volume; or %s)", uid, directory, s.another())
	}
	if stat.Mode&0o022 != 0 {
		return s.pathError("other users could replace the socket, because the directory %s has the mode %04o (want one that only its owner can write to, such as 0700; "+
			"in a container, the root of a volume; or %s)", directory, stat.Mode&0o7777, s.another())
	}
	return nil
}

// clear removes the file of a socket that an ended process has left.
func (s Spec) clear() error {
	switch err := Clear(s.Path, s.Owner); {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotSocket):
		return s.pathError("%v (%s)", err, s.another())
	case errors.Is(err, ErrHeld):
		return &missing.Error{What: s.Name + " " + s.Path, Need: "a path that no other process listens on",
			Give: "stop the other podswitch, or " + s.another(), Err: err}
	default:
		return s.wrap(err)
	}
}

// wrap returns the error for a failed system call.
func (s Spec) wrap(err error) error {
	if lacks := missing.Directory(s.Name+" "+s.Path, s.another(), err); lacks != nil {
		return lacks
	}
	return fmt.Errorf("%s %s: %w (%s)", s.Name, s.Path, err, s.another())
}

// another returns the remedy that always helps.
func (s Spec) another() string { return "name another path with " + s.Flag }

func (s Spec) pathError(format string, args ...any) error {
	return &PathError{Name: s.Name, Path: s.Path, Why: fmt.Sprintf(format, args...)}
}
