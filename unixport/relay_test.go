package unixport

import (
	"bytes"
	"encoding/json"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// A relay is a socket of which one port after another is made, each as in another process: with a duplicate of the descriptor, and a state
// that was encoded and decoded.
type relay struct {
	vswitch.Port
	t        testing.TB
	socket   Socket // of the process that has opened it
	counters *vswitch.Counters
	options  Options
	rest     handover.Socket // the state that the port has resumed
}

func newRelay(t testing.TB, s Socket, o Options) *relay {
	t.Helper()
	r := &relay{t: t, socket: s, counters: new(vswitch.Counters), options: o}
	t.Cleanup(func() {
		r.Close()
		unix.Close(s.FD)
	})
	r.start(handover.Socket{})
	return r
}

// start makes a port that resumes a state.
func (r *relay) start(rest handover.Socket) {
	r.t.Helper()
	s := carry(r.t, r.socket)
	s.FD = duplicate(r.t, r.socket.FD)
	p, err := s.Resume(r.counters, r.options, rest)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Port, r.rest = p, rest
}

// leave interrupts and closes the port, and returns its state for the next one.
func (r *relay) leave() handover.Socket {
	r.t.Helper()
	interrupt(r.Port)
	left, ok := StateOf(r.Port)
	if !ok {
		r.t.Fatal("an interrupted port has no state")
	}
	rest := carry(r.t, left)
	if left.Connection != 0 {
		rest.Connection = duplicate(r.t, left.Connection)
	}
	if left.Next != 0 {
		rest.Next = duplicate(r.t, left.Next)
	}
	if err := r.Close(); err != nil {
		r.t.Fatal(err)
	}
	return rest
}

func (r *relay) handOver() {
	r.t.Helper()
	r.start(r.leave())
}

// receive expects the frames, in batches of at most the given size.
func (r *relay) receive(batch int, want ...[]byte) {
	r.t.Helper()
	room := make([]vswitch.Frame, batch)
	for len(want) > 0 {
		n, err := r.Receive(room[:min(batch, len(want))])
		if err != nil {
			r.t.Fatalf("%v, want %d more frames", err, len(want))
		}
		for _, f := range room[:n] {
			if !bytes.Equal(f.Data, want[0]) {
				r.t.Fatalf("a frame of %d bytes %.20x, want %d bytes %.20x", len(f.Data), f.Data, len(want[0]), want[0])
			}
			want = want[1:]
		}
	}
}

// interrupt interrupts a port, or the one that it wraps.
func interrupt(p vswitch.Port) {
	for {
		if i, ok := p.(vswitch.Interrupter); ok {
			i.Interrupt()
			return
		}
		p = p.(interface{ Unwrap() vswitch.Port }).Unwrap()
	}
}

// carry encodes a value as JSON and decodes it.
func carry[T any](t testing.TB, v T) (there T) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &there)
	}
	if err != nil {
		t.Fatal(err)
	}
	return there
}

func duplicate(t testing.TB, fd int) int {
	t.Helper()
	there, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	return there
}

// streamRelays returns a relay and its peer for each kind of stream.
var streamRelays = map[string]func(t *testing.T) (*relay, *net.UnixConn){
	"connected": func(t *testing.T) (*relay, *net.UnixConn) {
		fd, conn := socketpair(t, unix.SOCK_STREAM)
		s, err := Inherit(fd)
		if err != nil {
			t.Fatal(err)
		}
		return newRelay(t, s, Options{}), conn
	},
	"listening": func(t *testing.T) (*relay, *net.UnixConn) {
		p := newTestPort(t)
		s, file, err := Listen(p.path, -1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		r := newRelay(t, s, Options{})
		conn := p.dial()
		awaitAccepted(t, p.path)
		return r, conn
	},
}
