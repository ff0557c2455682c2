package unixport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/vswitch"
)

// socketpair creates a connected pair: a descriptor without FD_CLOEXEC, as if inherited, and the peer.
func socketpair(t testing.TB, kind int) (int, *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[1]), "peer")
	defer file.Close() // FileConn duplicates the descriptor
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := errors.Join(conn.SetDeadline(time.Now().Add(testTimeout)), conn.(*net.UnixConn).SetWriteBuffer(1<<20)); err != nil {
		t.Fatal(err)
	}
	return fds[0], conn.(*net.UnixConn)
}

// rawSocket creates a socket without FD_CLOEXEC, as if inherited. The test closes it unless a port owns it.
func rawSocket(t *testing.T, domain, kind int) int {
	t.Helper()
	fd, err := unix.Socket(domain, kind, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// boundSocket creates a socket that is bound to path.
func boundSocket(t *testing.T, kind int, path string) int {
	t.Helper()
	fd := rawSocket(t, unix.AF_UNIX, kind)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func listeningSocket(t *testing.T, kind int, path string) int {
	t.Helper()
	fd := boundSocket(t, kind, path)
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	return fd
}

// inheritedPort makes a port of a descriptor.
func inheritedPort(t *testing.T, p *testPort, fd int) *testPort {
	t.Helper()
	isUnix, err := Inherited(fd)
	if err != nil || !isUnix {
		t.Fatalf("a unix socket: %t, %v", isUnix, err)
	}
	p.Port, err = openFD(fd, p.counters, Options{
		Connected:    func() { p.events <- "connected" },
		Disconnected: func(err error) { p.events <- fmt.Sprint("disconnected: ", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Inherited(fd); err == nil {
		t.Error("the descriptor that was taken over would pass to other programs")
	}
	p.run()
	return p
}

func (p *testPort) wantEnd(want error) {
	p.t.Helper()
	select {
	case err := <-p.end:
		if !errors.Is(err, want) {
			p.t.Fatalf("Receive returned %v, want %v", err, want)
		}
	case <-time.After(testTimeout):
		p.t.Fatal("Receive did not return")
	}
}

// TestFDPairs passes frames of all sizes both ways over each kind of socketpair.
func TestFDPairs(t *testing.T) {
	for name, kind := range map[string]int{"stream": unix.SOCK_STREAM, "dgram": unix.SOCK_DGRAM, "seqpacket": unix.SOCK_SEQPACKET} {
		t.Run(name, func(t *testing.T) {
			fd, conn := socketpair(t, kind)
			p := inheritedPort(t, newTestPort(t), fd)
			for _, n := range []int{headerLen, 60, 1514, vswitch.MaxFrame} {
				out := frame(n, n)
				if kind == unix.SOCK_STREAM {
					out = framed(out)
				}
				send(t, conn, out)
				p.wantFrame(frame(n, n))
				p.transmit(frame(n, n+1))
				if kind != unix.SOCK_STREAM {
					wantDatagram(t, conn, frame(n, n+1))
				} else if got, err := readFrame(conn); err != nil || !bytes.Equal(got, frame(n, n+1)) {
					t.Fatalf("read %d bytes, %v; want %d", len(got), err, n)
				}
			}
			if kind != unix.SOCK_STREAM {
				send(t, conn, []byte(greeting))
				send(t, conn, nil)
				send(t, conn, frame(60, 9))
				p.wantFrame(frame(60, 9))
				p.wantDrops(vswitch.Short, 1)
			}
			p.wantClosed()
			p.transmit(frame(60, 1))
			p.wantDrops(vswitch.PortDown, 1)
		})
	}
}

// TestFDHangUp: Receive returns all frames that a peer has sent before it hung up, and then the end.
func TestFDHangUp(t *testing.T) {
	for _, test := range []struct {
		name  string
		kind  int
		last  []byte // the peer's last bytes
		want  error
		drops map[string]uint64
	}{
		{"stream", unix.SOCK_STREAM, nil, io.EOF, nil},
		{"stream within a frame", unix.SOCK_STREAM, []byte{0, 0, 0, 60, 1}, io.ErrUnexpectedEOF, nil},
		{"seqpacket", unix.SOCK_SEQPACKET, nil, io.EOF, nil},
		{"seqpacket with a short packet", unix.SOCK_SEQPACKET, []byte{1}, io.EOF, map[string]uint64{"short": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fd, conn := socketpair(t, test.kind)
			for i := range 5 {
				if test.kind == unix.SOCK_STREAM {
					send(t, conn, framed(frame(60, i)))
				} else {
					send(t, conn, frame(60, i))
				}
			}
			if test.last != nil {
				send(t, conn, test.last)
			}
			conn.Close()
			p := inheritedPort(t, newTestPort(t), fd)
			for i := range 5 {
				p.wantFrame(frame(60, i))
			}
			p.wantEnd(test.want)
			if got := p.counters.Drops(); fmt.Sprint(got) != fmt.Sprint(test.drops) {
				t.Errorf("drops %v, want %v", got, test.drops)
			}
			if n, err := p.Receive(make([]vswitch.Frame, 1)); n != 0 || !errors.Is(err, test.want) {
				t.Errorf("and then %d frames, %v; want the same end", n, err)
			}
			p.transmit(frame(60, 1), frame(60, 2))
			p.wantDrops(vswitch.PortDown, 2)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFDLength: a wrong length field ends a stream.
func TestFDLength(t *testing.T) {
	fd, conn := socketpair(t, unix.SOCK_STREAM)
	p := inheritedPort(t, newTestPort(t), fd)
	send(t, conn, append(framed(frame(60, 1)), 0x80, 0, 0, 0))
	p.wantFrame(frame(60, 1))
	select {
	case err := <-p.end:
		var length *lengthError
		if !errors.As(err, &length) || length.length != 1<<31 {
			t.Error(err)
		}
	case <-time.After(testTimeout):
		t.Fatal("Receive did not return")
	}
}

// TestFDListening: an inherited listening socket accepts one peer after another, and its file stays.
func TestFDListening(t *testing.T) {
	p := newTestPort(t)
	inheritedPort(t, p, listeningSocket(t, unix.SOCK_STREAM, p.path))
	for i := range 3 {
		conn := p.dial()
		p.wantEvent("connected")
		send(t, conn, framed(frame(60, i)))
		p.wantFrame(frame(60, i))
		p.transmit(frame(61, i))
		if got, err := readFrame(conn); err != nil || !bytes.Equal(got, frame(61, i)) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
		conn.Close()
		p.wantEvent("disconnected: EOF")
	}
	p.wantClosed()
	if _, err := os.Lstat(p.path); err != nil {
		t.Errorf("the socket's file, which is not ours: %v", err)
	}
}

// TestFDBound: an inherited bound socket sends to the last sender, and its file stays.
func TestFDBound(t *testing.T) {
	p := newTestPort(t)
	inheritedPort(t, p, boundSocket(t, unix.SOCK_DGRAM, p.path))
	p.transmit(frame(60, 0))
	p.wantDrops(vswitch.PortDown, 1)
	for i, name := range []string{"a", "longer"} {
		conn := peerAt(t, filepath.Join(t.TempDir(), name), p.path)
		send(t, conn, []byte(greeting))
		send(t, conn, frame(60, i))
		p.wantFrame(frame(60, i))
		p.transmit(frame(61, i))
		wantDatagram(t, conn, frame(61, i))
	}
	p.wantClosed()
	if _, err := os.Lstat(p.path); err != nil {
		t.Errorf("the socket's file, which is not ours: %v", err)
	}
}

// TestFDUnfit: the error says what the descriptor is and what is wanted, and the descriptor stays unchanged.
func TestFDUnfit(t *testing.T) {
	folder := t.TempDir()
	for _, test := range []struct {
		fd       int
		is, want string
	}{
		{rawSocket(t, unix.AF_UNIX, unix.SOCK_STREAM), "a unix stream socket that neither listens nor is connected", "socketpair"},
		{boundSocket(t, unix.SOCK_STREAM, filepath.Join(folder, "a")), "a unix stream socket that neither listens nor is connected", "listening"},
		{rawSocket(t, unix.AF_UNIX, unix.SOCK_DGRAM), "a unix datagram socket that is neither bound nor connected", "bound"},
		{rawSocket(t, unix.AF_UNIX, unix.SOCK_SEQPACKET), "a unix seqpacket socket that is not connected", "connected"},
		{listeningSocket(t, unix.SOCK_SEQPACKET, filepath.Join(folder, "b")), "a unix seqpacket socket that is not connected", "connected"},
		{rawSocket(t, unix.AF_INET, unix.SOCK_STREAM), "not a unix socket", "a unix socket"},
	} {
		_, err := Inherit(test.fd)
		var lacks *missing.Error
		if !errors.As(err, &lacks) || !strings.Contains(lacks.What, fmt.Sprintf("fd:%d, which is %s", test.fd, test.is)) ||
			!strings.Contains(lacks.Need, test.want) {
			t.Errorf("%v; want %q and %q", err, test.is, test.want)
		}
		status, err := unix.FcntlInt(uintptr(test.fd), unix.F_GETFL, 0)
		flags, flagsErr := unix.FcntlInt(uintptr(test.fd), unix.F_GETFD, 0)
		if err != nil || flagsErr != nil || status&unix.O_NONBLOCK != 0 || flags != 0 {
			t.Errorf("%s has changed: %#x %#x, %v", test.is, status, flags, errors.Join(err, flagsErr))
		}
		unix.Close(test.fd)
	}
}

// TestInherited: a descriptor that is not open, or has FD_CLOEXEC, was not inherited.
func TestInherited(t *testing.T) {
	own := rawSocket(t, unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC)
	defer unix.Close(own)
	tcp := rawSocket(t, unix.AF_INET, unix.SOCK_STREAM)
	defer unix.Close(tcp)
	if isUnix, err := Inherited(tcp); err != nil || isUnix {
		t.Errorf("a TCP socket: %t, %v", isUnix, err)
	}
	for fd, want := range map[int]string{own: "has opened this descriptor", 99999: "an open descriptor"} {
		_, err := Inherited(fd)
		var lacks *missing.Error
		if !errors.As(err, &lacks) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("fd:%d:", fd)) {
			t.Errorf("%d: %v; want %q", fd, err, want)
		}
	}
}
