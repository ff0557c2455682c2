package unixsocket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/podswitch/podswitch/host/missing"
)

// TestListenChecksTheDirectory shows whose directorys the socket may be in.
func TestListenChecksTheDirectory(t *testing.T) {
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
		{"of another user", 0o700, 65534, -1, "the user 65534 could replace the socket"},
		{"of the socket's owner", 0o700, 65534, 65534, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			directory := filepath.Join(t.TempDir(), "directory")
			if err := os.Mkdir(directory, 0o700); err != nil {
				t.Fatal(err)
			}
			if test.uid != -1 {
				needsRoot(t)
				if err := os.Chown(directory, test.uid, -1); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(directory, test.mode); err != nil {
				t.Fatal(err)
			}
			l, err := Listen(Spec{Path: filepath.Join(directory, "a.sock"), Owner: test.owner, Name: "control socket"})
			if err == nil {
				defer l.Close()
			}
			var wrong *PathError
			switch {
			case test.want == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case test.want != "" && (!errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), directory)):
				t.Errorf("error %v, want a PathError that names %s and says %q", err, directory, test.want)
			}
		})
	}
}

// TestListenGivesTheSocketAway checks the owner of the socket.
func TestListenGivesTheSocketAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "a.sock")
	l, err := Listen(Spec{Path: path, Owner: 65534, Name: "control socket"})
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
	directory, err := os.Stat(filepath.Dir(path))
	if err != nil || directory.Mode().Perm() != 0o711 {
		t.Errorf("the directory has the mode %v, %v; want 0711", directory.Mode(), err)
	}
}

// TestListenIgnoresTheUmask checks that another user reaches a socket in directories that Listen makes while the umask is 077, and that
// Listen does not change the mode of a directory that exists.
func TestListenIgnoresTheUmask(t *testing.T) {
	needsRoot(t)
	existing := filepath.Join(t.TempDir(), "existing")
	if err := os.Mkdir(existing, 0o700); err != nil {
		t.Fatal(err)
	}
	before := syscall.Umask(0o077)
	l, err := Listen(Spec{Path: filepath.Join(existing, "a", "b", "c.sock"), Owner: 65534, Name: "keeper socket"})
	syscall.Umask(before)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]os.FileMode{"": 0o700, "a": 0o711, "a/b": 0o711, "a/b/c.sock": 0o600} {
		info, err := os.Stat(filepath.Join(existing, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q has the mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

// needsRoot skips a test that changes owners.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: another user's files and processes")
	}
}

// TestListen checks what Listen does with a file that exists at the path, and that errors name the socket and its flag.
func TestListen(t *testing.T) {
	spec := func(path string) Spec { return Spec{Path: path, Owner: -1, Name: "keeper socket", Flag: "--listen"} }
	busy := filepath.Join(t.TempDir(), "sub", "busy.sock")
	serving, err := Listen(spec(busy))
	if err != nil {
		t.Fatal(err)
	}
	defer serving.Close()
	var lacks *missing.Error
	if _, err := Listen(spec(busy)); !errors.As(err, &lacks) || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("a socket that another listener holds: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(spec(file)); err == nil || !strings.Contains(err.Error(), "keeper socket "+file+": exists and is not a socket (name another path with --listen)") {
		t.Errorf("a file: %v", err)
	}
	if text, _ := os.ReadFile(file); string(text) != "keep me" {
		t.Error("the file was changed")
	}
	if _, err := Listen(spec(filepath.Join(t.TempDir(), strings.Repeat("x", 110)))); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("a path that is too long: %v", err)
	}
	stale := filepath.Join(t.TempDir(), "stale.sock")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()
	l, err := Listen(spec(stale))
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	l.Close()
	held := filepath.Join(t.TempDir(), "held.sock")
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: held, Net: "unixgram"}) // connect(2) as a stream socket fails
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := Listen(spec(held)); !errors.As(err, &lacks) {
		t.Errorf("a datagram socket that a process holds: %v", err)
	}
	if _, err := os.Lstat(held); err != nil {
		t.Errorf("a socket that a process holds was removed: %v", err)
	}
}

// TestListenNamesTheFlag: each error names the flag of the path as a remedy, and what the volume lacks.
func TestListenNamesTheFlag(t *testing.T) {
	dir := t.TempDir()
	wide, file, held := filepath.Join(dir, "wide"), filepath.Join(dir, "file"), filepath.Join(dir, "held")
	if err := errors.Join(os.Mkdir(wide, 0o700), os.Chmod(wide, 0o777), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", held)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]string{
		filepath.Join(dir, strings.Repeat("x", MaxPath)): "want at most 107",
		filepath.Join(wide, "s"):                         "in a container, the root of a volume",
		filepath.Join(file, "s"):                         "not a directory",
		file:                                             "is not a socket",
		held:                                             "stop the other podswitch",
	} {
		_, err := Listen(Spec{Path: path, Owner: -1, Name: "keeper socket", Flag: "--listen"})
		for _, part := range []string{"keeper socket " + path, want, "name another path with --listen"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%v, want %q", err, part)
			}
		}
	}
	for cause, want := range map[error]string{syscall.EROFS: "emptyDir", syscall.EACCES: "fsGroup", syscall.ENOSPC: "sizeLimit"} {
		err := Spec{Path: "/a/b", Name: "control socket", Flag: "--control"}.wrap(&os.PathError{Op: "mkdir", Path: "/a", Err: cause})
		var lacks *missing.Error
		if !errors.As(err, &lacks) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "; or name another path with --control)") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
