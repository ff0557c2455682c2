package stack

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestKeptPortWithPassedDescriptor checks a connection that another process has dialled and passed on as a descriptor.
func TestKeptPortWithPassedDescriptor(t *testing.T) {
	pod, other := newPod(t)
	to := target(t, echoBack)
	err := pod.Keep(KeptPort{Network: "tcp", Port: 8080, Dial: func(ctx context.Context, client netip.AddrPort) (net.Conn, error) {
		dialled, err := dialTo(to)(ctx, client)
		if err != nil {
			return nil, err
		}
		defer dialled.Close()
		file, err := dialled.(*net.TCPConn).File()
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return net.FileConn(file)
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := other.mustDial(t, 8080)
	_, _ = c.Write([]byte("through"))
	_ = c.CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "through" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestKeptPortNeedsHalfClose checks that a connection which is not a Target is closed, and the peer refused.
func TestKeptPortNeedsHalfClose(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	cfg := podConfig()
	cfg.Log = zap.New(core)
	pod, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	other := newPeer(t, pod, otherAddress)
	near, far := net.Pipe()
	if err := pod.Keep(KeptPort{Network: "tcp", Port: 8080, Dial: func(context.Context, netip.AddrPort) (net.Conn, error) { return near, nil }}); err != nil {
		t.Fatal(err)
	}
	if _, err := other.dial(8080); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("dial: %v, want it refused", err)
	}
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the other end of what was dialled: %v, want it closed", err)
	}
	await(t, "the warning", func() bool { return logs.FilterMessageSnippet("dial failed").Len() == 1 })
}

// TestKeptPortCancelsDial checks that Close cancels a dial.
func TestKeptPortCancelsDial(t *testing.T) {
	pod := open(t, podConfig())
	dialling := make(chan struct{})
	err := pod.Keep(KeptPort{Network: "tcp", Port: 8080, Dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		close(dialling)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	pod.put(synFrame(t, addrPort(otherAddress, 4000), addrPort(podAddress, 8080)))
	within(t, dialling)
	closed := make(chan struct{})
	go func() {
		_ = pod.Close()
		close(closed)
	}()
	within(t, closed)
}

func TestKeepChecksItsArguments(t *testing.T) {
	pod, _ := newPod(t)
	keep(t, pod, 1, "localhost:80")
	tests := []struct {
		port uint16
		dial Dial
		want string
	}{
		{0, dialTo("127.0.0.1:80"), "a port from 1 to 65535"},
		{1, dialTo("127.0.0.1:80"), "tcp port 1 is served already"},
		{2, nil, "a dial function"},
	}
	for _, test := range tests {
		err := pod.Keep(KeptPort{Network: "tcp", Port: test.port, Dial: test.dial})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Keep(%d): %v, want %q", test.port, err, test.want)
		}
	}
}
