package unixport

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/vswitch"
)

// openers are the functions that bind a path.
var openers = map[string]func(path string) (vswitch.Port, error){
	"stream": func(path string) (vswitch.Port, error) {
		return openStream(path, new(vswitch.Counters), Options{})
	},
	"dgram": func(path string) (vswitch.Port, error) { return openDgram(path, "", new(vswitch.Counters)) },
}

func TestPathErrors(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	if err := os.WriteFile(in("file"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(in("nowhere"), in("link")); err != nil {
		t.Fatal(err)
	}
	for kind, open := range openers {
		for path, why := range map[string]string{
			"":                             "is empty; want a path of 1 to 107 bytes",
			"/" + strings.Repeat("x", 107): "has 108 bytes; want at most 107",
			"a\x00b":                       "has a zero byte",
			"@name":                        "starts with '@', which names a socket without a file; put ./ before it",
			in("file"):                     "exists and is not a socket; remove it, or name another path",
			in("link"):                     "exists and is not a socket; remove it, or name another path",
			folder:                         "exists and is not a socket; remove it, or name another path",
			in("absent/port"):              "its directory does not exist; create it, or name another path",
			in("file/port"):                "its directory does not exist; create it, or name another path",
		} {
			_, err := open(path)
			var pathErr *PathError
			if !errors.As(err, &pathErr) || *pathErr != (PathError{path, why}) {
				t.Errorf("%s %q: error %v, want %q", kind, path, err, why)
			}
		}
	}
	if content, err := os.ReadFile(in("file")); err != nil || string(content) != "kept" {
		t.Errorf("the file holds %q, %v", content, err)
	}
}

func TestPathRemote(t *testing.T) {
	local := filepath.Join(t.TempDir(), "port")
	for _, remote := range []string{"@name", strings.Repeat("x", 108), local} {
		var pathErr *PathError
		if _, err := openDgram(local, remote, new(vswitch.Counters)); !errors.As(err, &pathErr) || pathErr.Path != remote {
			t.Errorf("remote %q: error %v, want a PathError", remote, err)
		}
	}
}

func TestPathLongest(t *testing.T) {
	t.Chdir(t.TempDir())
	for kind, open := range openers {
		p, err := open(strings.Repeat("x", 107))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		p.Close()
	}
}

// TestPathHeld: a socket of any type that is open stays, and the process that has it open does not notice.
func TestPathHeld(t *testing.T) {
	for holder, network := range map[string]string{"stream": "unix", "dgram": "unixgram", "seqpacket": "unixpacket"} {
		for kind, open := range openers {
			path := filepath.Join(t.TempDir(), "port")
			if network == "unixgram" {
				conn, err := net.ListenUnixgram(network, &net.UnixAddr{Name: path, Net: network})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			} else {
				listener, err := net.Listen(network, path)
				if err != nil {
					t.Fatal(err)
				}
				defer listener.Close()
			}
			_, err := open(path)
			var missingErr *missing.Error
			if !errors.As(err, &missingErr) || missingErr.Need != "a path that no other process has open" {
				t.Errorf("%s over %s: error %v, want a missing.Error", kind, holder, err)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("%s over %s: %v", kind, holder, err)
			}
		}
	}
}

func TestPathHeldByPort(t *testing.T) {
	p := streamPortFor(t)
	if _, err := openStream(p.path, new(vswitch.Counters), Options{}); err == nil {
		t.Fatal("two ports on one path")
	}
	conn := p.dial()
	p.wantEvent("connected") // the first event
	send(t, conn, framed(frame(60, 0)))
	p.wantFrame(frame(60, 0))
}

// TestPathStale: the file of an ended process, of any type, is replaced by one with mode 0600.
func TestPathStale(t *testing.T) {
	for kind, open := range openers {
		for _, left := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			path := filepath.Join(t.TempDir(), "port")
			fd, err := unix.Socket(unix.AF_UNIX, left, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
			p, err := open(path)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
				t.Errorf("%s: mode %v, %v, want 0600", kind, info.Mode(), err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: the socket is still there: %v", kind, err)
			}
		}
	}
}

// TestPathReplaced: Close does not remove a file that has replaced the socket's file.
func TestPathReplaced(t *testing.T) {
	for kind, open := range openers {
		path := filepath.Join(t.TempDir(), "port")
		first, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		second, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		first.Close()
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		second.Close()
	}
}
