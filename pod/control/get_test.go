package control

import (
	"context"
	"net"
	"net/http"
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

// TestExplainClosed: a connection that is closed before the request is sent is one that is closed without an answer.
func TestExplainClosed(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "closes"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closed := make(chan struct{})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "unix", l.Addr().String())
		return lateWriter{c, closed}, err
	}}
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	_, err = (&http.Client{Transport: transport}).Get("http://podswitch" + StatusPath)
	if err == nil || !isClosed(err) {
		t.Errorf("%v is not known as a closed connection", err)
	}
}

// A lateWriter sends nothing before its side has read the end.
type lateWriter struct {
	net.Conn
	closed chan struct{}
}

func (c lateWriter) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		close(c.closed)
	}
	return n, err
}

func (c lateWriter) Write(b []byte) (int, error) {
	<-c.closed
	return c.Conn.Write(b)
}

// TestExplainPermission: a socket that this user may not use is not reported as an absent podswitch.
func TestExplainPermission(t *testing.T) {
	err := explain("/run/c", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)})
	for _, want := range []string{"has no permission for the control socket /run/c", "--control", permitted(os.Geteuid())} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if text := permitted(0); strings.Contains(text, "root") {
		t.Errorf("root is told: %s", text)
	}
}
