package control

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/unixsocket"
)

// TestForeignUser checks that a process of another user is refused, even if the mode of the socket lets it connect.
func TestForeignUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a process of another user")
	}
	folder := t.TempDir()
	if err := os.Chmod(filepath.Dir(folder), 0o711); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "control.sock")
	l, err := unixsocket.Listen(unixsocket.Spec{Path: path, Owner: -1})
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.WarnLevel)
	s := busy()
	s.Log, s.Owner = zap.New(core), 107
	served := make(chan error, 1)
	go func() { served <- Serve(t.Context(), l, s) }()
	t.Cleanup(func() {
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	if said := as(t, 65534, path); !strings.Contains(said, "permission denied") {
		t.Errorf("with mode 0600: %q, want permission denied", said)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if said := as(t, 65534, path); strings.Contains(said, "HTTP") {
		t.Errorf("the foreign user got %q", said)
	}
	if said := as(t, 107, path); !strings.Contains(said, "HTTP/1.0 200") {
		t.Errorf("the owner got %q", said)
	}
	expectStatus(t, path)
	entries := logs.FilterMessageSnippet("control connection refused").All()
	if len(entries) != 1 || !strings.Contains(fmt.Sprint(entries[0].ContextMap()), "user 65534") {
		t.Errorf("messages %v, want one that names the user", entries)
	}
}

// as requests the status as another user, and returns the response or the error. The thread keeps that user, so it ends with the
// goroutine.
func as(t *testing.T, uid uintptr, path string) string {
	t.Helper()
	said := make(chan string)
	go func() {
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
			said <- errno.Error()
			return
		}
		said <- ask(path)
	}()
	return <-said
}

// ask requests the status with system calls on the calling thread.
func ask(path string) string {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err.Error()
	}
	if _, err := unix.Write(fd, []byte("GET /status HTTP/1.0\r\n\r\n")); err != nil {
		return err.Error()
	}
	buffer := make([]byte, 4096)
	n, err := unix.Read(fd, buffer)
	if err != nil {
		return err.Error()
	}
	return string(bytes.Clone(buffer[:n]))
}

// TestPassedListener checks that Serve works with a listener that another process has made and passed on as a descriptor, and that the
// socket's file remains when the server ends.
func TestPassedListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	made, err := unixsocket.Listen(unixsocket.Spec{Path: path, Owner: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	for range 2 {
		file, err := made.File()
		if err != nil {
			t.Fatal(err)
		}
		passed, err := net.FileListener(file)
		_ = file.Close()
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- Serve(ctx, passed, busy()) }()
		expectStatus(t, path)
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}
