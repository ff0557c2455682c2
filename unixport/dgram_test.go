package unixport

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// peerAt binds a datagram socket to path, as a hypervisor does; an empty path leaves it without a name.
func peerAt(t *testing.T, path, port string) *net.UnixConn {
	t.Helper()
	var local *net.UnixAddr
	if path != "" {
		local = &net.UnixAddr{Name: path, Net: "unixgram"}
	}
	conn, err := net.DialUnix("unixgram", local, &net.UnixAddr{Name: port, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetWriteBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	return conn
}

func wantDatagram(t *testing.T, conn *net.UnixConn, want []byte) {
	t.Helper()
	b := make([]byte, 1<<17)
	n, err := conn.Read(b)
	if err != nil || !bytes.Equal(b[:n], want) {
		t.Fatalf("read %d bytes, %v; want %d", n, err, len(want))
	}
}

func TestDgramFrames(t *testing.T) {
	remote := filepath.Join(t.TempDir(), "peer")
	p := dgramPortFor(t, remote)
	conn := peerAt(t, remote, p.path)
	for _, n := range []int{headerLen, 60, 1514, vswitch.MaxFrame} {
		send(t, conn, frame(n, n))
		p.wantFrame(frame(n, n))
		p.transmit(frame(n, n+1))
		wantDatagram(t, conn, frame(n, n+1))
	}
	for i := range 200 {
		send(t, conn, frame(60+i, i))
	}
	for i := range 200 {
		p.wantFrame(frame(60+i, i))
	}
	if got := p.counters.TxFrames.Load(); got != 4 {
		t.Errorf("%d frames sent, want 4", got)
	}
	p.wantClosed()
	if _, err := os.Lstat(p.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestDgramLengths(t *testing.T) {
	p := dgramPortFor(t, "")
	conn := peerAt(t, "", p.path)
	for _, n := range []int{0, 1, 13} {
		send(t, conn, frame(n, 1))
	}
	send(t, conn, []byte(greeting))
	send(t, conn, frame(vswitch.MaxFrame+1, 1))
	send(t, conn, frame(60, 1))
	p.wantFrame(frame(60, 1))
	p.wantDrops(vswitch.Short, 3)
	p.wantDrops(vswitch.Truncated, 1)
}

// TestDgramPeer has a peer that is absent, appears, does not read, disappears and returns.
func TestDgramPeer(t *testing.T) {
	remote := filepath.Join(t.TempDir(), "peer")
	p := dgramPortFor(t, remote)
	p.transmit(frame(60, 0), frame(60, 0))
	p.wantDrops(vswitch.PortDown, 2)
	conn := peerAt(t, remote, p.path)
	full := func() uint64 { return p.counters.Drops()[vswitch.PortFull.String()] }
	sent := uint64(0)
	for full() == 0 {
		p.transmit(frame(60, int(sent)))
		sent++
	}
	for i := range sent - full() {
		wantDatagram(t, conn, frame(60, int(i)))
	}
	conn.Close() // its file stays
	p.transmit(frame(60, 0), frame(60, 0), frame(60, 0))
	p.wantDrops(vswitch.PortDown, 5)
	if err := os.Remove(remote); err != nil {
		t.Fatal(err)
	}
	conn = peerAt(t, remote, p.path)
	p.transmit(frame(60, 7))
	wantDatagram(t, conn, frame(60, 7))
}

// TestDgramLastSender: without a remote, frames go to the last sender, also if it has sent vfkit's greeting only.
func TestDgramLastSender(t *testing.T) {
	folder := t.TempDir()
	p := dgramPortFor(t, "")
	p.transmit(frame(60, 0))
	p.wantDrops(vswitch.PortDown, 1)
	first := peerAt(t, filepath.Join(folder, "a"), p.path)
	send(t, first, []byte(greeting))
	send(t, first, frame(60, 1))
	p.wantFrame(frame(60, 1))
	p.transmit(frame(60, 2))
	wantDatagram(t, first, frame(60, 2))
	second := peerAt(t, filepath.Join(folder, "longer"), p.path)
	send(t, second, frame(60, 3))
	p.wantFrame(frame(60, 3))
	p.transmit(frame(60, 4))
	wantDatagram(t, second, frame(60, 4))
	nameless := peerAt(t, "", p.path)
	send(t, nameless, frame(60, 5))
	p.wantFrame(frame(60, 5))
	p.transmit(frame(60, 6))
	wantDatagram(t, second, frame(60, 6))
	if drops := p.counters.Drops(); len(drops) != 1 {
		t.Errorf("drops %v, want port-down alone: the greeting is none", drops)
	}
}

// TestDgramClose closes a port while a peer keeps sending datagrams that are too short, and while frames are sent.
func TestDgramClose(t *testing.T) {
	for range 20 {
		remote := filepath.Join(t.TempDir(), "peer")
		p := dgramPortFor(t, remote)
		conn := peerAt(t, remote, p.path)
		var group sync.WaitGroup
		group.Go(func() {
			for _, err := conn.Write(frame(3, 1)); err == nil; {
				_, err = conn.Write(frame(3, 1))
			}
		})
		group.Go(func() {
			for p.counters.Drops()[vswitch.PortDown.String()] == 0 {
				p.transmit(frame(9000, 1), frame(9000, 2))
			}
		})
		await(t, "traffic", func() bool {
			drops := p.counters.Drops()
			return drops[vswitch.PortFull.String()] > 0 && drops[vswitch.Short.String()] > 0
		})
		p.wantClosed()
		conn.Close()
		group.Wait()
	}
}
