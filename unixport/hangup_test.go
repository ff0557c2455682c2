package unixport

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// TestPacketEnd: a seqpacket port returns every frame that the peer has sent before it hung up, and then io.EOF; also if the peer has not
// read every frame, which the kernel reports first, and after empty packets, which look like the end.
func TestPacketEnd(t *testing.T) {
	many := make([]int, 3*vswitch.BatchSize)
	for _, test := range []struct {
		name    string
		unread  bool
		packets []int // lengths in bytes
		batch   int
		short   uint64
	}{
		{"all is read", false, []int{100, 101, 102}, vswitch.BatchSize, 0},
		{"a frame of ours is unread", true, []int{100, 101, 102}, vswitch.BatchSize, 0},
		{"likewise, one at a time", true, []int{100, 101, 102}, 1, 0},
		{"likewise, and nothing was sent", true, nil, vswitch.BatchSize, 0},
		{"an empty packet first", false, []int{0, 100, 101}, vswitch.BatchSize, 1},
		{"likewise, one at a time", false, []int{0, 100, 101}, 1, 1},
		{"likewise, and a frame of ours is unread", true, []int{0, 100, 101}, vswitch.BatchSize, 1},
		{"empty ones between", false, []int{100, 0, 0, 101, 0, 102}, 2, 3},
		{"empty ones before a short one", false, []int{100, 0, 0, 3}, vswitch.BatchSize, 3},
		{"an empty one last", false, []int{100, 0}, vswitch.BatchSize, 0},
		{"batches of empty ones before a frame", false, append(slices.Clone(many), 100), vswitch.BatchSize, uint64(len(many))},
		{"nothing", false, nil, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			fd, conn := socketpair(t, unix.SOCK_SEQPACKET)
			p := newTestPort(t)
			var err error
			if p.Port, err = openFD(fd, p.counters, Options{}); err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if test.unread {
				p.transmit(frame(60, 1))
			}
			var want [][]byte
			for _, n := range test.packets {
				send(t, conn, frame(n, n))
				if n >= headerLen {
					want = append(want, frame(n, n))
				}
			}
			conn.Close()
			p.wantFramesAndEnd(test.batch, want)
			if got := p.counters.Drops()["short"]; got != test.short {
				t.Errorf("drops %v, want %d short", p.counters.Drops(), test.short)
			}
		})
	}
}

// TestEmptyPackets: while the peer is connected, no number of empty packets is the end.
func TestEmptyPackets(t *testing.T) {
	fd, conn := socketpair(t, unix.SOCK_SEQPACKET)
	p := inheritedPort(t, newTestPort(t), fd)
	for range 2 * maxEmpty {
		send(t, conn, nil)
	}
	send(t, conn, frame(60, 1))
	p.wantFrame(frame(60, 1))
	p.wantDrops(vswitch.Short, 2*maxEmpty)
	conn.Close()
	p.wantEnd(io.EOF)
}

// wantFramesAndEnd expects the frames, and then io.EOF from every call.
func (p *testPort) wantFramesAndEnd(batch int, want [][]byte) {
	p.t.Helper()
	timer := time.AfterFunc(testTimeout, func() { p.Close() })
	defer timer.Stop()
	room := make([]vswitch.Frame, batch)
	for ends := 0; ends < 2; {
		n, err := p.Receive(room)
		if n > len(want) || err != nil && (n > 0 || len(want) > 0 || !errors.Is(err, io.EOF)) {
			p.t.Fatalf("%d frames and %v; want %d more frames and io.EOF", n, err, len(want))
		}
		for i, f := range room[:n] {
			if !bytes.Equal(f.Data, want[i]) {
				p.t.Fatalf("a frame of %d bytes, want %d", len(f.Data), len(want[i]))
			}
		}
		want = want[n:]
		if err != nil {
			ends++
		}
	}
}

// TestDgramReset has the peer of a connected datagram socket connect to another socket, with a frame unread, and back: the kernel reports
// the lost frame by an error, which is not the end.
func TestDgramReset(t *testing.T) {
	for _, waiting := range []bool{false, true} {
		folder := t.TempDir()
		in := func(name string) string { return filepath.Join(folder, name) }
		p := newTestPort(t)
		fd := boundSocket(t, unix.SOCK_DGRAM, in("port"))
		peer, other := boundSocket(t, unix.SOCK_DGRAM, in("peer")), boundSocket(t, unix.SOCK_DGRAM, in("other"))
		defer unix.Close(peer)
		defer unix.Close(other)
		connect := func(fd int, name string) error { return unix.Connect(fd, &unix.SockaddrUnix{Name: in(name)}) }
		if err := errors.Join(connect(fd, "peer"), connect(peer, "port")); err != nil {
			t.Fatal(err)
		}
		var err error
		if p.Port, err = openFD(fd, p.counters, Options{}); err != nil {
			t.Fatal(err)
		}
		if waiting {
			p.run()
		}
		p.transmit(frame(60, 1))
		if _, err := unix.Write(peer, frame(60, 2)); err != nil {
			t.Fatal(err)
		}
		if waiting {
			p.wantFrame(frame(60, 2))
		}
		if err := errors.Join(connect(peer, "other"), connect(peer, "port")); err != nil {
			t.Fatal(err)
		}
		if !waiting {
			p.run()
			p.wantFrame(frame(60, 2))
		}
		if _, err := unix.Write(peer, frame(60, 3)); err != nil {
			t.Fatal(err)
		}
		p.wantFrame(frame(60, 3))
		p.wantClosed()
	}
}
