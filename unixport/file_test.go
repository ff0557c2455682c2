package unixport

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// makers are the functions that create a socket with a file.
var makers = map[string]func(path string, owner int) (Socket, *File, error){
	"stream": Listen,
	"dgram":  func(path string, owner int) (Socket, *File, error) { return Bind(path, "", owner) },
}

// made creates a socket that the test's end closes.
func made(t *testing.T, kind, path string, owner int) (*File, error) {
	t.Helper()
	s, file, err := makers[kind](path, owner)
	if err == nil {
		t.Cleanup(func() {
			if err := errors.Join(file.Close(), unix.Close(s.FD)); err != nil {
				t.Error(err)
			}
		})
	}
	return file, err
}

// TestFileOwner gives a socket to another user: the mode stays 0600, and Close removes the file.
func TestFileOwner(t *testing.T) {
	const user = 64321
	for kind := range makers {
		path := filepath.Join(t.TempDir(), "port")
		file, err := made(t, kind, path, user)
		if os.Geteuid() != 0 {
			var lacks *missing.Error
			if !errors.As(err, &lacks) || lacks.Need != "CAP_CHOWN" {
				t.Errorf("%s: error %v, want that CAP_CHOWN is missing", kind, err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: the socket is still there: %v", kind, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil || stat.Uid != user || stat.Gid != uint32(os.Getegid()) || stat.Mode != unix.S_IFSOCK|0o600 {
			t.Errorf("%s: user %d, group %d, mode %#o, %v", kind, stat.Uid, stat.Gid, stat.Mode, err)
		}
		for range 2 {
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the socket is still there: %v", kind, err)
		}
	}
}

// TestFileOwnUser: giving a socket to this process's user needs no privilege.
func TestFileOwnUser(t *testing.T) {
	for kind := range makers {
		for _, owner := range []int{-1, os.Geteuid()} {
			if _, err := made(t, kind, filepath.Join(t.TempDir(), "port"), owner); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

// TestFileExchanged: the owner of a file that has replaced the socket's file does not change.
func TestFileExchanged(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	if err := os.WriteFile(in("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := made(t, "stream", in("socket"), -1); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(in("file"), in("symlink")), os.Link(in("socket"), in("link"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "symlink", "link", "socket"} {
		var unfit *PathError
		if _, err := newFile(in(name), 64321); !errors.As(err, &unfit) || !strings.HasPrefix(unfit.Why, "was replaced") {
			t.Errorf("%s: error %v, want that it was replaced", name, err)
		}
		var stat unix.Stat_t
		if err := unix.Lstat(in(name), &stat); err != nil || int(stat.Uid) != os.Geteuid() {
			t.Errorf("%s belongs to user %d, %v", name, stat.Uid, err)
		}
	}
}

// TestFolder: a directory in which every user may replace the socket is refused.
func TestFolder(t *testing.T) {
	for _, test := range []struct {
		mode os.FileMode
		fit  bool
	}{
		{0o700, true},
		{0o755, true},
		{0o775, true},
		{0o777 | os.ModeSticky, true},
		{0o777, false},
		{0o703, false},
	} {
		folder := filepath.Join(t.TempDir(), "folder")
		if err := errors.Join(os.Mkdir(folder, 0o700), os.Chmod(folder, test.mode)); err != nil {
			t.Fatal(err)
		}
		for kind := range makers {
			_, err := made(t, kind, filepath.Join(folder, kind), -1)
			var unfit *PathError
			if test.fit && err != nil || !test.fit && (!errors.As(err, &unfit) || !strings.HasPrefix(unfit.Why, "every user may replace it")) {
				t.Errorf("%s in %v: error %v, fit %t", kind, test.mode, err, test.fit)
			}
		}
	}
}

// TestFolderVolume: the root of a volume that every user may write to is accepted, as Kubernetes creates an emptyDir, and no directory
// below it.
func TestFolderVolume(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a volume in a mount namespace of its own")
	}
	folder := t.TempDir()
	below := filepath.Join(folder, "below")
	done := make(chan [2]error)
	go func() {
		runtime.LockOSThread() // without unlock, so that the thread and its namespace end with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
				unix.Mount("tmpfs", folder, "tmpfs", 0, "mode=0777"), os.Mkdir(below, 0o700), os.Chmod(below, 0o777))
		}
		if err != nil {
			done <- [2]error{err, err}
			return
		}
		done <- [2]error{checkFolder(filepath.Join(folder, "port")), checkFolder(filepath.Join(below, "port"))}
	}()
	errs := <-done
	if errs[0] != nil {
		t.Errorf("top: %v", errs[0])
	}
	var unfit *PathError
	if !errors.As(errs[1], &unfit) {
		t.Errorf("below: error %v, want a PathError", errs[1])
	}
}
