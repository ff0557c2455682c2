package control

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/podswitch/podswitch/host/missing"
)

// TestListenChecksTheFolder shows whose folders the socket may be in.
func TestListenChecksTheFolder(t *testing.T) {
	tests := []struct {
		name  string
		mode  os.FileMode
		uid   int // -1: the process's own
		owner int // of the socket
		want  string
	}{
		{"its own", 0o700, -1, -1, ""},
		{"readable by others", 0o755, -1, -1, ""},
		{"sticky", 0o777 | os.ModeSticky, -1, -1, ""},
		{"writable by a group", 0o770, -1, -1, "mode 0770"},
		{"writable by everybody", 0o777, -1, -1, "mode 0777"},
		{"of somebody else", 0o700, 65534, -1, "the user 65534 could replace it"},
		{"of the socket's owner", 0o700, 65534, 65534, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "folder")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if test.uid != -1 {
				needsRoot(t)
				if err := os.Chown(folder, test.uid, -1); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(folder, test.mode); err != nil {
				t.Fatal(err)
			}
			l, err := Listen(filepath.Join(folder, "control.sock"), test.owner)
			if err == nil {
				defer l.Close()
			}
			var wrong *PathError
			switch {
			case test.want == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case test.want != "" && (!errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), folder)):
				t.Errorf("error %v, want a PathError that names %s and says %q", err, folder, test.want)
			}
		})
	}
}

// TestListenGivesTheSocketAway shows whose the socket is.
func TestListenGivesTheSocketAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "control.sock")
	l, err := Listen(path, 65534)
	if os.Geteuid() != 0 {
		var lacks *missing.Error
		if !errors.As(err, &lacks) {
			t.Errorf("without privilege: %v, want a missing.Error", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 65534 || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is of the user %d, mode %v; want 65534, 0600", uid, info.Mode())
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil || folder.Mode().Perm() != 0o711 {
		t.Errorf("folder %v, %v; want mode 0711", folder.Mode(), err)
	}
}

// needsRoot skips a test that changes owners.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: another user's files and processes")
	}
}
