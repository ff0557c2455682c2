package unixport

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

func TestStreamReceive(t *testing.T) {
	small, large := frame(60, 1), frame(vswitch.MaxFrame, 2)
	var many [][]byte
	for i := range 3000 {
		many = append(many, frame(headerLen+i%100, i))
	}
	for _, test := range []struct {
		name   string
		frames [][]byte
		cut    int // bytes in one write
	}{
		{"byte by byte", [][]byte{small, frame(headerLen, 3), small}, 1},
		{"length cut in two", [][]byte{small, small}, 2},
		{"frame and a half", [][]byte{small, small, small, small}, 96},
		{"many in one write", many, 1 << 20},
		{"largest", [][]byte{large, small, large, large, large, large}, 1 << 20},
		{"largest in pieces", [][]byte{large, large}, 1001},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := streamPortFor(t)
			conn := p.dial()
			p.wantEvent("connected")
			for rest := framed(test.frames...); len(rest) > 0; {
				n := min(test.cut, len(rest))
				send(t, conn, rest[:n])
				rest = rest[n:]
			}
			for _, f := range test.frames {
				p.wantFrame(f)
			}
			p.wantClosed()
		})
	}
}

func TestStreamLengths(t *testing.T) {
	good := framed(frame(60, 1))
	for _, test := range []struct {
		name   string
		bytes  []byte
		reason vswitch.Reason
		length string // in the event's text; empty: the stream continues
	}{
		{"0", []byte{0, 0, 0, 0}, vswitch.Short, ""},
		{"1", []byte{0, 0, 0, 1, 9}, vswitch.Short, ""},
		{"13", framed(frame(13, 0)), vswitch.Short, ""},
		{"one too many", []byte{0, 1, 0, 0x12}, vswitch.Truncated, "65554"},
		{"2^31", []byte{0x80, 0, 0, 0}, vswitch.Truncated, "2147483648"},
		{"2^32-1", []byte{255, 255, 255, 255}, vswitch.Truncated, "4294967295"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := streamPortFor(t)
			conn := p.dial()
			p.wantEvent("connected")
			send(t, conn, append(bytes.Clone(good), test.bytes...))
			p.wantFrame(frame(60, 1))
			p.wantDrops(test.reason, 1)
			if test.length != "" {
				p.wantEvent("disconnected: the length field announces a frame of " + test.length + " bytes; want at most 65553")
				if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("the connection is still open: %v", err)
				}
				conn = p.dial()
				p.wantEvent("connected")
			}
			send(t, conn, good)
			p.wantFrame(frame(60, 1))
		})
	}
}

func TestStreamTransmit(t *testing.T) {
	p := streamPortFor(t)
	p.transmit(frame(60, 0), frame(60, 0))
	p.wantDrops(vswitch.PortDown, 2)
	conn := p.dial()
	p.wantEvent("connected")
	var frames [][]byte
	for i := range 3*burst + 1 { // for several system calls
		frames = append(frames, frame(headerLen+i, i))
	}
	p.transmit(frames...)
	for _, want := range frames {
		if got, err := readFrame(conn); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read %d bytes, %v; want %d", len(got), err, len(want))
		}
	}
	if got := p.counters.TxFrames.Load(); got != uint64(len(frames)) {
		t.Errorf("%d frames sent, want %d", got, len(frames))
	}
}

// TestStreamStalledPeer fills the socket of a peer that does not read: the peer receives whole frames only, also if no frame follows.
func TestStreamStalledPeer(t *testing.T) {
	p := streamPortFor(t)
	conn := p.dial()
	p.wantEvent("connected")
	sent := uint64(0)
	stall := func() {
		full := p.counters.Drops()[vswitch.PortFull.String()]
		for p.counters.Drops()[vswitch.PortFull.String()] < full+5 {
			p.transmit(frame(40001, int(sent)), frame(777, int(sent)+1), frame(vswitch.MaxFrame, int(sent)+2))
			sent += 3
		}
	}
	read := uint64(0)
	drain := func() {
		lost := p.counters.Drops()[vswitch.PortFull.String()]
		for ; read < sent-lost; read++ {
			f, err := readFrame(conn)
			if err != nil {
				t.Fatalf("frame %d: %v", read, err)
			}
			if !bytes.Equal(f, frame(len(f), int(f[0]))) || len(f) != 40001 && len(f) != 777 && len(f) != vswitch.MaxFrame {
				t.Fatalf("frame %d, %d bytes: not what was sent", read, len(f))
			}
		}
	}
	for range 20 {
		stall()
		drain()
	}
	await(t, "all to be counted", func() bool { return p.counters.TxFrames.Load() == read })
	p.transmit(frame(60, 60))
	if f, err := readFrame(conn); err != nil || len(f) != 60 {
		t.Fatalf("read %d bytes, %v; want 60", len(f), err)
	}
}

// TestStreamHangUpUnderLoad has peers hang up while frames are sent to them, some of them partly: the port notices each hang-up and
// continues with the next peer.
func TestStreamHangUpUnderLoad(t *testing.T) {
	p := streamPortFor(t)
	var senders sync.WaitGroup
	stop := make(chan struct{})
	defer senders.Wait()
	defer close(stop)
	for range 2 {
		senders.Go(func() {
			batch := make([]vswitch.Frame, vswitch.BatchSize)
			for i := range batch {
				batch[i].Data = frame(1500, i)
			}
			for {
				select {
				case <-stop:
					return
				default:
					p.Transmit(batch)
				}
			}
		})
	}
	for range 200 {
		conn := p.dial()
		p.wantEvent("connected")
		for range 3 {
			if _, err := readFrame(conn); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close()
		if got := <-p.events; !strings.HasPrefix(got, "disconnected: ") { // ECONNRESET if the peer has unread data
			t.Fatalf("event %q", got)
		}
	}
}

// TestStreamStalledPeerGone: every frame is counted if a peer hangs up in the middle of one.
func TestStreamStalledPeerGone(t *testing.T) {
	p := streamPortFor(t)
	conn := p.dial()
	p.wantEvent("connected")
	sent := uint64(0)
	for len(p.counters.Drops()) == 0 {
		p.transmit(frame(50000, 0))
		sent++
	}
	conn.Close()
	select {
	case <-p.events: // io.EOF, or ECONNRESET if the peer has unread data
	case <-time.After(testTimeout):
		t.Fatal("no event")
	}
	drops := p.counters.Drops()
	if got := p.counters.TxFrames.Load() + drops["port-full"] + drops["port-down"]; got != sent {
		t.Errorf("%d frames are accounted for, want %d: %v", got, sent, drops)
	}
}

func TestStreamReconnect(t *testing.T) {
	p := streamPortFor(t)
	for i := range 50 {
		conn := p.dial()
		p.wantEvent("connected")
		send(t, conn, framed(frame(60, i)))
		p.wantFrame(frame(60, i))
		if i%2 == 0 {
			conn.Close()
			p.wantEvent("disconnected: " + io.EOF.Error())
			continue
		}
		send(t, conn, []byte{0, 0, 0, 60, 1})
		conn.Close()
		p.wantEvent("disconnected: " + io.ErrUnexpectedEOF.Error())
	}
	p.transmit(frame(60, 0))
	p.wantDrops(vswitch.PortDown, 1)
}

// TestStreamSecondConnection: a second connection is refused while the first one is open, and accepted after the first peer has hung up,
// also if its frames are not received yet.
func TestStreamSecondConnection(t *testing.T) {
	p := newTestPort(t)
	refused := make(chan error, 1)
	var err error
	p.Port, err = openStream(p.path, p.counters, Options{Refused: func(err error) { refused <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	first, second := p.dial(), p.dial()
	if _, err := second.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the second connection is open: %v", err)
	}
	if err := <-refused; !errors.Is(err, errSecond) {
		t.Fatal(err)
	}
	send(t, first, framed(frame(60, 1), frame(61, 2)))
	first.Close()
	third := p.dial()
	awaitAccepted(t, p.path)
	send(t, third, framed(frame(62, 3)))
	p.run()
	for i := 1; i <= 3; i++ {
		p.wantFrame(frame(59+i, i))
	}
	p.transmit(frame(60, 9))
	if f, err := readFrame(third); err != nil || !bytes.Equal(f, frame(60, 9)) {
		t.Fatalf("read %x, %v", f, err)
	}
}

// awaitAccepted waits until the backlog of path is empty. A connection in the backlog has the state 02, connecting, in /proc/net/unix.
func awaitAccepted(t *testing.T, path string) {
	t.Helper()
	await(t, "the connection to be accepted", func() bool {
		sockets, err := os.ReadFile("/proc/net/unix")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(sockets)) {
			if f := strings.Fields(line); len(f) == 8 && f[5] == "02" && f[7] == path {
				return false
			}
		}
		return true
	})
}

// TestStreamClose closes a port that waits for a peer, one that waits for a frame, and one with traffic both ways.
func TestStreamClose(t *testing.T) {
	t.Run("no peer", func(t *testing.T) { streamPortFor(t).wantClosed() })
	t.Run("idle peer", func(t *testing.T) {
		p := streamPortFor(t)
		p.dial()
		p.wantEvent("connected")
		p.wantClosed()
		if _, err := os.Lstat(p.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	t.Run("traffic", func(t *testing.T) {
		for range 20 {
			closeInTraffic(t)
		}
	})
}

func closeInTraffic(t *testing.T) {
	p := streamPortFor(t)
	conn := p.dial()
	p.wantEvent("connected")
	var group sync.WaitGroup
	stop := make(chan struct{})
	group.Go(func() {
		for _, err := conn.Write(framed(frame(1000, 1))); err == nil; {
			_, err = conn.Write(framed(frame(1000, 1)))
		}
	})
	group.Go(func() {
		for p.counters.Drops()[vswitch.PortDown.String()] == 0 {
			p.transmit(frame(9000, 1), frame(9000, 2))
		}
	})
	group.Go(func() { // received frames are discarded
		for {
			select {
			case <-p.frames:
			case <-stop:
				return
			}
		}
	})
	await(t, "the peer to be stalled", func() bool { return p.counters.Drops()[vswitch.PortFull.String()] > 0 })
	p.wantClosed()
	conn.Close()
	close(stop)
	group.Wait()
}
