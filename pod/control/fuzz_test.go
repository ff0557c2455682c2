package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/podswitch/podswitch/host/unixsocket"
)

// FuzzControl sends any bytes to the socket. The server sends one well-formed response at most and closes the connection; only a GET gets
// a resource.
func FuzzControl(f *testing.F) {
	for _, seed := range []string{
		"GET /status HTTP/1.1\r\nHost: podswitch\r\n\r\n", "GET /fdb HTTP/1.0\r\n\r\n", "HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /status HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
		"GET /status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"GET http://a/../status?x=%zz HTTP/1.1\r\nHost: x\r\n\r\n", "GET //status HTTP/1.1\r\nHost: x\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET /status HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
		"GET /status HTTP/1.1\r\nHost: x\r\n\r\nGET /fdb HTTP/1.1\r\nHost: x\r\n\r\n", "\x00", "", "GET / HTTP/9.9\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "control.sock")
	l, err := unixsocket.Listen(unixsocket.Spec{Path: path, Owner: -1})
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	status := func() Status { return Status{Holder: "guest", Ports: []Port{{Name: "guest"}}} }
	go func() { served <- serve(ctx, l, Source{Status: status}, rate.NewLimiter(rate.Inf, 1)) }()
	f.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, request []byte) {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(timeout))
		_, _ = c.Write(request) // it may be cut off before it is through
		_ = c.(*net.UnixConn).CloseWrite()
		checkAnswer(t, c, request)
	})
}

// checkAnswer reads responses until the end of the connection.
func checkAnswer(t *testing.T, c net.Conn, request []byte) {
	t.Helper()
	reader := bufio.NewReader(c)
	if _, err := reader.Peek(1); err != nil {
		return // closed without an answer
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatalf("malformed answer: %v", err)
	}
	body, err := io.ReadAll(response.Body)
	bodiless := bytes.HasPrefix(request, []byte("HEAD ")) && len(body) == 0 // its answer tells the length alone
	var late net.Error
	if errors.As(err, &late) && late.Timeout() || err == io.ErrUnexpectedEOF && !bodiless {
		t.Fatalf("%s: the body ends after %d bytes: %v", response.Status, len(body), err)
	}
	if response.StatusCode >= 500 && response.StatusCode != http.StatusHTTPVersionNotSupported && response.StatusCode != http.StatusNotImplemented {
		t.Fatalf("%s: %s", response.Status, body)
	}
	if rest, _ := io.ReadAll(reader); len(rest) > 0 {
		t.Fatalf("%s, and %q behind it", response.Status, rest)
	}
}
