package unixport

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// openFiles returns the number of open descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestStateRefused: Resume refuses sockets and states that are impossible, and closes every descriptor.
func TestStateRefused(t *testing.T) {
	folder := t.TempDir()
	listening, file, err := Listen(filepath.Join(folder, "listening"), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	bound, boundFile, err := Bind(filepath.Join(folder, "bound"), "", -1)
	if err != nil {
		t.Fatal(err)
	}
	defer boundFile.Close()
	fixed := bound
	fixed.Remote = filepath.Join(folder, "remote")
	fd, _ := socketpair(t, unix.SOCK_STREAM)
	connected := Socket{FD: fd, Type: typeStream, Connected: true}
	other := fd // a stream that was not accepted from the listening socket
	unnamed := rawSocket(t, unix.AF_UNIX, unix.SOCK_DGRAM)
	for _, fd := range []int{listening.FD, bound.FD, connected.FD, unnamed} {
		defer unix.Close(fd)
	}
	with := func(s Socket, change func(*Socket)) Socket { change(&s); return s }
	long := make([]byte, streamBuffer+1)
	for _, test := range []struct {
		socket Socket
		rest   handover.Socket
		want   string
	}{
		{with(listening, func(s *Socket) { s.Type = typeDgram }), handover.Socket{}, `the type is "dgram"; the kernel says "stream"`},
		{with(listening, func(s *Socket) { s.Type = "" }), handover.Socket{}, `the type is ""; the kernel says "stream"`},
		{with(listening, func(s *Socket) { s.Listening = false }), handover.Socket{}, "listening is false; the kernel says true"},
		{with(connected, func(s *Socket) { s.Listening = true }), handover.Socket{}, "listening is true; the kernel says false"},
		{with(connected, func(s *Socket) { s.Connected = false }), handover.Socket{}, "connected is false; the kernel says true"},
		{with(connected, func(s *Socket) { s.Remote = "/x" }), handover.Socket{}, `the remote is "/x"`},
		{with(fixed, func(s *Socket) { s.Connected = true }), handover.Socket{}, "want one only for a datagram socket that is not connected"},
		{with(fixed, func(s *Socket) { s.Remote = "@x" }), handover.Socket{}, "starts with '@'"},
		{with(bound, func(s *Socket) { s.FD = unnamed }), handover.Socket{}, "neither bound nor connected"},
		{listening, handover.Socket{Received: []byte{1}}, "bytes of no connection"},
		{listening, handover.Socket{Unsent: []byte{1}}, "bytes of no connection"},
		{listening, handover.Socket{Announced: true}, "bytes of no connection"},
		{listening, handover.Socket{Next: other}, "next connection without a first"},
		{listening, handover.Socket{Connection: other}, "not a connection to the listening socket"},
		{listening, handover.Socket{Connection: bound.FD}, "not a connection to the listening socket"},
		{listening, handover.Socket{Connection: listening.FD}, "not a connection to the listening socket"},
		{connected, handover.Socket{Connection: other}, "the state of a connected stream has a connection"},
		{connected, handover.Socket{Peer: []byte("x")}, "the state of a stream has a datagram peer"},
		{connected, handover.Socket{Received: long}, "262229 received bytes; want at most 262228"},
		{connected, handover.Socket{Begun: -1, Unsent: []byte{1}}, "begun a frame of -1 bytes"},
		{connected, handover.Socket{Begun: vswitch.MaxFrame + 1, Unsent: []byte{1}}, "begun a frame of 65554 bytes; want at most 65553"},
		{connected, handover.Socket{Begun: 60}, "no unsent bytes of it"},
		{connected, handover.Socket{Begun: 60, Unsent: long[:64]}, "64 unsent bytes of a frame of 60; want fewer than 64"},
		{bound, handover.Socket{Received: []byte{1}}, "has fields of a stream"},
		{bound, handover.Socket{Connection: other}, "has fields of a stream"},
		{bound, handover.Socket{Peer: long[:109]}, "a peer's path of 109 bytes; want at most 108"},
		{fixed, handover.Socket{Peer: []byte("x")}, "fixed peer has another peer"},
	} {
		before := openFiles(t)
		s, rest := test.socket, test.rest
		s.FD = duplicate(t, s.FD)
		for _, fd := range []*int{&rest.Connection, &rest.Next} {
			if *fd != 0 {
				*fd = duplicate(t, *fd)
			}
		}
		if _, err := s.Resume(new(vswitch.Counters), Options{}, rest); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %q", test.socket, err, test.want)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%q: %d descriptors are open, want %d", test.want, after, before)
		}
	}
}

// TestStateLargest resumes the largest possible state.
func TestStateLargest(t *testing.T) {
	fd, conn := socketpair(t, unix.SOCK_STREAM)
	r := newRelay(t, Socket{FD: fd, Type: typeStream, Connected: true}, Options{})
	large := frame(vswitch.MaxFrame, 1)
	rest := r.leave()
	rest.Received = framed(large, large, large, large)
	rest.Unsent, rest.Begun = framed(large)[1:], vswitch.MaxFrame
	if len(rest.Received) != streamBuffer {
		t.Fatal(len(rest.Received))
	}
	r.start(rest)
	r.receive(3, large, large, large, large)
	send(t, conn, framed(large))
	r.receive(3, large)
	if f, err := readFrame(io.MultiReader(bytes.NewReader([]byte{0}), conn)); err != nil || len(f) != vswitch.MaxFrame {
		t.Errorf("read %d bytes, %v", len(f), err)
	}
}

// TestGonePeer makes a port of a connected datagram socket whose peer has closed, which the kernel no longer reports as connected.
func TestGonePeer(t *testing.T) {
	fd, conn := socketpair(t, unix.SOCK_DGRAM)
	s, err := Inherit(fd)
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(t, s, Options{})
	conn.Close()
	for want := uint64(1); want <= 3; want++ {
		r.Transmit([]vswitch.Frame{{Data: frame(60, 1)}})
		if drops := r.counters.Drops(); drops["port-down"] != want {
			t.Errorf("drops %v, want %d as port-down", drops, want)
		}
		r.handOver()
	}
	if _, err := unix.Getpeername(fd); !errors.Is(err, unix.ENOTCONN) {
		t.Errorf("the socket is still connected: %v", err)
	}
}
