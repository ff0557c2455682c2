package unixport

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// socketMode is the mode of a socket's file: who may write to it is on the guest's wire.
const socketMode = 0o600

// A File is the file of a socket that this process has bound.
type File struct {
	path     string
	dev, ino uint64
}

// Close removes the file, if it is there and not another socket's by now. It is idempotent. It comes before the closing of the
// socket, so that nobody connects to what accepts no more.
func (f *File) Close() error {
	var stat unix.Stat_t
	if unix.Lstat(f.path, &stat) != nil || uint64(stat.Dev) != f.dev || stat.Ino != f.ino {
		return nil
	}
	return os.Remove(f.path)
}

// newFile finds the file that a socket was just bound to, and gives it to its owner. It goes by the file and not by the path,
// because the new owner may be able to put something else in its place, such as a link to a file that must not become theirs.
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
		return nil, &PathError{path, "was replaced while it was made; want a folder where nobody else does such a thing"}
	}
	file := &File{path, uint64(stat.Dev), stat.Ino}
	if owner < 0 || owner == os.Geteuid() {
		return file, nil
	}
	if err := unix.Fchownat(fd, "", owner, -1, unix.AT_EMPTY_PATH); err != nil {
		what := fmt.Sprintf("give the socket %q to the user %d", path, owner)
		if err == unix.EPERM {
			err = &missing.Error{What: what, Need: "CAP_CHOWN", Give: "run as root, or as that user", Err: err}
		} else {
			err = fmt.Errorf("%s: %w", what, os.NewSyscallError("fchownat", err))
		}
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// checkFolder refuses a folder where everybody may replace the socket with one of their own. The top of a mounted volume is for
// those who mount it: Kubernetes makes an emptyDir with the mode 0777. A folder that is not there is found by who binds.
func checkFolder(path string) error {
	folder := filepath.Dir(path)
	var stat unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, folder, 0, unix.STATX_TYPE|unix.STATX_MODE, &stat) != nil {
		return nil
	}
	open := stat.Mode&0o002 != 0 && stat.Mode&unix.S_ISVTX == 0
	if open && stat.Mode&unix.S_IFMT == unix.S_IFDIR && stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return &PathError{path, fmt.Sprintf("everybody may replace it, because its folder has the mode %#o; "+
			"want a folder of its own, the sticky bit, or the top of a volume", stat.Mode&0o7777)}
	}
	return nil
}
