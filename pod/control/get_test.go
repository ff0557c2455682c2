package control

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestGetErrors checks that the error tells a process that hangs from one that does not exist, and from another program.
func TestGetErrors(t *testing.T) {
	dir := t.TempDir()
	listen := func(name string, serve func(c net.Conn)) string {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				serve(c)
			}
		}()
		return l.Addr().String()
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "nothing"):                                                                              "no podswitch at the control socket",
		listen("hangs", func(net.Conn) {}):                                                                         "has not answered within",
		listen("closes", func(c net.Conn) { c.Close() }):                                                           "closed the connection without an answer: it ends",
		listen("foreign", func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0\r\n")); c.Close() }):                   "has not answered as a podswitch",
		listen("not JSON", func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.0 200 OK\r\n\r\nhello")); c.Close() }): "has not answered as a podswitch",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		var s Status
		err := Get(ctx, path, StatusPath, &s)
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want %q", filepath.Base(path), err, want)
		}
	}
}

// TestExplainPermission: a socket that this user may not use is not reported as an absent podswitch.
func TestExplainPermission(t *testing.T) {
	err := explain("/run/c", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)})
	for _, want := range []string{"has no permission for the control socket /run/c", "--control", "run as root or as the user of the switch"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
