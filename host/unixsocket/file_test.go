package unixsocket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// aSocket binds a socket of the given type to path, and returns its descriptor.
func aSocket(t *testing.T, path string, kind int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// TestClear removes the files that ended processes have left, and no others.
func TestClear(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
		path := filepath.Join(dir, "socket")
		fd := aSocket(t, path, kind)
		if kind != unix.SOCK_DGRAM {
			if err := unix.Listen(fd, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := Clear(path, -1); !errors.Is(err, ErrHeld) {
			t.Errorf("type %d: %v; want ErrHeld", kind, err)
		}
		unix.Close(fd)
		if err := Clear(path, -1); err != nil {
			t.Errorf("type %d, left behind: %v", kind, err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("type %d is still there: %v", kind, err)
		}
	}
	if err := Clear(filepath.Join(dir, "nothing"), -1); err != nil {
		t.Errorf("nothing: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(dir, "link"), dir} {
		if err := Clear(path, -1); !errors.Is(err, ErrNotSocket) {
			t.Errorf("%s: %v; want ErrNotSocket", path, err)
		}
	}
}

// TestPeer returns the credentials of this process for a connection to itself.
func TestPeer(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := Peer(c.(*net.UnixConn))
	if err != nil || int(peer.Pid) != os.Getpid() || int(peer.Uid) != os.Geteuid() {
		t.Errorf("%+v, %v", peer, err)
	}
	c.Close()
	if _, err := Peer(c.(*net.UnixConn)); err == nil {
		t.Error("a closed one has a peer")
	}
}
