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

	"github.com/podswitch/podswitch/vswitch"
)

// openFiles is the number of open descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestRestRefused wants that a port is made of nothing that cannot be, and that every descriptor is closed then.
func TestRestRefused(t *testing.T) {
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
	other := fd // a stream that was not accepted
	unnamed := rawSocket(t, unix.AF_UNIX, unix.SOCK_DGRAM)
	for _, fd := range []int{listening.FD, bound.FD, connected.FD, unnamed} {
		defer unix.Close(fd)
	}
	with := func(s Socket, change func(*Socket)) Socket { change(&s); return s }
	long := make([]byte, streamBuffer+1)
	for _, test := range []struct {
		socket Socket
		rest   Rest
		want   string
	}{
		{with(listening, func(s *Socket) { s.Type = typeDgram }), Rest{}, `of type "dgram"; it is of type "stream"`},
		{with(listening, func(s *Socket) { s.Type = "" }), Rest{}, `of type ""; it is of type "stream"`},
		{with(listening, func(s *Socket) { s.Listening = false }), Rest{}, "said to be listening: false; the kernel says true"},
		{with(connected, func(s *Socket) { s.Listening = true }), Rest{}, "said to be listening: true; the kernel says false"},
		{with(connected, func(s *Socket) { s.Connected = false }), Rest{}, "said to be connected: false; the kernel says true"},
		{with(connected, func(s *Socket) { s.Remote = "/x" }), Rest{}, `said to have the remote "/x"`},
		{with(fixed, func(s *Socket) { s.Connected = true }), Rest{}, "want one for a datagram socket that is not connected"},
		{with(fixed, func(s *Socket) { s.Remote = "@x" }), Rest{}, "starts with '@'"},
		{with(bound, func(s *Socket) { s.FD = unnamed }), Rest{}, "neither bound nor connected"},
		{listening, Rest{Received: []byte{1}}, "bytes of no connection"},
		{listening, Rest{Unsent: []byte{1}}, "bytes of no connection"},
		{listening, Rest{Announced: true}, "bytes of no connection"},
		{listening, Rest{Next: other}, "next connection without a first"},
		{listening, Rest{Connection: other}, "no connection to the listening socket"},
		{listening, Rest{Connection: bound.FD}, "no connection to the listening socket"},
		{listening, Rest{Connection: listening.FD}, "no connection to the listening socket"},
		{connected, Rest{Connection: other}, "the rest of a connected stream has a connection"},
		{connected, Rest{Peer: []byte("x")}, "the rest of a stream has a datagram peer"},
		{connected, Rest{Received: long}, "262229 received bytes; want at most 262228"},
		{connected, Rest{Begun: -1, Unsent: []byte{1}}, "begun a frame of -1 bytes"},
		{connected, Rest{Begun: vswitch.MaxFrame + 1, Unsent: []byte{1}}, "begun a frame of 65554 bytes; want at most 65553"},
		{connected, Rest{Begun: 60}, "nothing of it left"},
		{connected, Rest{Begun: 60, Unsent: long[:64]}, "64 unsent bytes of a frame of 60; want fewer than 64"},
		{bound, Rest{Received: []byte{1}}, "has something of a stream"},
		{bound, Rest{Connection: other}, "has something of a stream"},
		{bound, Rest{Peer: long[:109]}, "a peer's path of 109 bytes; want at most 108"},
		{fixed, Rest{Peer: []byte("x")}, "fixed peer has another one"},
	} {
		before := openFiles(t)
		s, rest := test.socket, test.rest
		s.FD = duplicate(t, s.FD)
		for _, fd := range []*int{&rest.Connection, &rest.Next} {
			if *fd != 0 {
				*fd = duplicate(t, *fd)
			}
		}
		if _, err := s.Port(new(vswitch.Counters), Options{}, rest); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %q", test.socket, err, test.want)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%q: %d descriptors are open, want %d", test.want, after, before)
		}
	}
}

// TestRestLargest goes on with the most that a rest may have.
func TestRestLargest(t *testing.T) {
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

// TestGonePeer makes a port of a datagram socket whose peer has gone, which the kernel calls connected no more.
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
