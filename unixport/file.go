package unixport

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// socketMode is the mode of a socket's file. A process that may write to the file may connect, and so send and receive the guest's frames.
const socketMode = 0o600

// A File is the file of a socket that Listen or Bind has bound.
type File struct {
	path     string
	dev, ino uint64
}

// Close removes the file, unless it no longer exists or another socket has taken its path. It is idempotent. Call it before closing the
// socket, so that no client connects to a socket that no longer accepts.
func (f *File) Close() error {
	var stat unix.Stat_t
	if unix.Lstat(f.path, &stat) != nil || uint64(stat.Dev) != f.dev || stat.Ino != f.ino {
		return nil
	}
	return os.Remove(f.path)
}

// newFile returns the file to which a socket was just bound, after changing its owner. It opens the file once and does not use the path
// again: another user may be able to replace the file, for example by a link to a file whose owner must not change.
func newFile(path string, owner int) (*File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("bind %q: %w", path, os.NewSyscallError("open", err))
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, fmt.Errorf("bind %q: %w", path, os.NewSyscallError("fstat", err))
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFSOCK || int(stat.Uid) != os.Geteuid() || stat.Nlink != 1 {
		return nil, &PathError{path, "was replaced by another process during the bind; want a directory that other users cannot write to"}
	}
	file := &File{path, uint64(stat.Dev), stat.Ino}
	if owner < 0 || owner == os.Geteuid() {
		return file, nil
	}
	if err := unix.Fchownat(fd, "", owner, -1, unix.AT_EMPTY_PATH); err != nil {
		what := fmt.Sprintf("give the socket %q to the user %d", path, owner)
		if err == unix.EPERM {
			err = &missing.Error{What: what, Need: "CAP_CHOWN", Give: missing.GiveCapability("CHOWN") + "; or run as that user", Err: err}
		} else {
			err = fmt.Errorf("%s: %w", what, os.NewSyscallError("fchownat", err))
		}
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// checkFolder returns an error for a directory in which every user may replace the socket's file. It accepts the root of a mounted
// volume, which only the containers that mount it can reach: Kubernetes creates an emptyDir with mode 0777. A directory that does not
// exist is not an error here, because bind reports it.
func checkFolder(path string) error {
	folder := filepath.Dir(path)
	var stat unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, folder, 0, unix.STATX_TYPE|unix.STATX_MODE, &stat) != nil {
		return nil
	}
	open := stat.Mode&0o002 != 0 && stat.Mode&unix.S_ISVTX == 0
	if open && stat.Mode&unix.S_IFMT == unix.S_IFDIR && stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return &PathError{path, fmt.Sprintf("every user may replace it, because its directory has mode %#o; "+
			"want a directory that other users cannot write to, the sticky bit, or the root of a volume", stat.Mode&0o7777)}
	}
	return nil
}
