package missing_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/podswitch/podswitch/host/missing"
)

// TestDirectory: what a volume lacks is named, with the line of a manifest that gives it.
func TestDirectory(t *testing.T) {
	for cause, want := range map[error][]string{
		syscall.EROFS:  {"needs a writable file system", "emptyDir", "without readOnly"},
		syscall.EACCES: {"needs permission for user ", "runAsUser", "fsGroup"},
		syscall.EPERM:  {"needs permission for user ", "runAsUser", "fsGroup"},
		syscall.ENOSPC: {"needs free space in its volume", "sizeLimit"},
		syscall.EDQUOT: {"needs free space in its volume", "sizeLimit"},
	} {
		err := missing.Directory("control socket /run/x/c", "name another path with --control", &fs.PathError{Op: "mkdir", Path: "/run/x", Err: cause})
		var lacks *missing.Error
		if !errors.As(err, &lacks) || !errors.Is(err, cause) {
			t.Fatalf("%v: %v", cause, err)
		}
		for _, part := range append(want, "control socket /run/x/c: ", "; or name another path with --control): mkdir /run/x: ") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: no %q", err, part)
			}
		}
	}
	for _, cause := range []error{io.EOF, syscall.EINVAL, syscall.ENOTDIR} {
		if err := missing.Directory("a", "b", cause); err != nil {
			t.Errorf("%v: %v", cause, err)
		}
	}
}
