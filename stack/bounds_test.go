package stack

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/podswitch/podswitch/vswitch"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// The bounds of doc.go in bytes.
const (
	boundFragments = 24 << 20
	boundKeptPort  = 96 << 20
	boundTimeWait  = 8 << 20
	boundForgotten = 2 << 20 // when all connections have ended for good
)

// Flags of a TCP header (RFC 9293, section 3.1).
const (
	flagFIN = 1 << iota
	_
	_
	flagPSH
	flagACK
)

// heap returns the bytes in use after a garbage collection; the second one empties the pools.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// expectGrowth fails when the heap has grown by more than bound bytes since it was before.
func expectGrowth(t *testing.T, before, bound uint64) {
	t.Helper()
	after := heap()
	t.Logf("heap: %d KiB before, %d KiB after, the bound is %d KiB more", before>>10, after>>10, bound>>10)
	if after > before+bound {
		t.Errorf("the heap has grown by %d KiB, want %d at most", (after-before)>>10, bound>>10)
	}
}

// TestFragmentsWithoutEnd sends first fragments of many datagrams, none of which is ever complete.
func TestFragmentsWithoutEnd(t *testing.T) {
	for size, rounds := range map[int]int{8: 25000, 1400: 8000, 60000: 300} { // each several times what netstack keeps
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			e := besieged(t)
			frame, _ := cutInTwo(echoRequest(t, otherAddress, podAddress, 1, make([]byte, size+64)), size)
			head := frame[:endOfIPv4]
			before := heap()
			for id := range rounds {
				copy(head, patch(head, offNetwork+4, byte(id>>8), byte(id)))
				e.Transmit([]vswitch.Frame{{Data: frame}})
			}
			expectGrowth(t, before, boundFragments)
		})
	}
}

// stuck is a target that reads nothing and, from a time on, writes without end.
type stuck struct {
	net.Conn
	talk   chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (s *stuck) Read(b []byte) (int, error) {
	select {
	case <-s.talk:
		return zeros{}.Read(b)
	case <-s.closed:
		return 0, net.ErrClosed
	}
}

func (s *stuck) CloseWrite() error   { return nil }
func (s *stuck) SetLinger(int) error { return nil }

func (s *stuck) Write([]byte) (int, error) {
	<-s.closed
	return 0, net.ErrClosed
}

func (s *stuck) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// TestConnectionsWithoutEnd opens more connections than there are slots. The peer sends as much as netstack receives and acknowledges
// nothing; the target reads nothing and writes without end.
func TestConnectionsWithoutEnd(t *testing.T) {
	before, goroutines := heap(), runtime.NumGoroutine()
	talk := make(chan struct{})
	dial := func(context.Context, netip.AddrPort) (net.Conn, error) {
		return &stuck{talk: talk, closed: make(chan struct{})}, nil
	}
	var mu sync.Mutex
	opened := make(map[netip.AddrPort]*layers.TCP)
	p := newRawPeer(t, podConfig(), dial, func(p *rawPeer, from netip.AddrPort, got *layers.TCP) {
		if !got.SYN {
			return
		}
		p.say(from, got, 0, flagACK, nil)
		mu.Lock()
		defer mu.Unlock()
		opened[from] = &layers.TCP{SYN: true, Seq: got.Seq, Ack: got.Ack}
	})
	p.open(maxConns)
	p.await("all slots to be occupied", func() bool { return p.in(tcp.StateEstablished) == maxConns })
	close(talk)
	mu.Lock()
	first := maps.Clone(opened)
	mu.Unlock()
	for from, got := range first {
		for sent := 0; sent < 6*50000; sent += 50000 {
			p.say(from, got, sent, flagACK|flagPSH, make([]byte, 50000))
		}
	}
	p.send(2 * maxConns)
	if n := p.connections(); n != maxConns {
		t.Errorf("%d connections, want %d", n, maxConns)
	}
	const own = 16 // the test's and netstack's
	if n := runtime.NumGoroutine() - goroutines; n > 4*maxConns+own {
		t.Errorf("%d goroutines more, want %d at most", n, 4*maxConns+own)
	}
	expectGrowth(t, before, boundKeptPort)
}

// brief is a target that writes a little, and closes when it has read the end.
func brief(c *net.TCPConn) {
	_, _ = c.Write(make([]byte, 32<<10))
	_, _ = io.Copy(io.Discard, c)
}

// TestClosedConnectionsKeepTheirSlots opens connections from a peer that sends FIN at once and acknowledges none of the target's bytes:
// a connection occupies its slot until its data is delivered or the timeout has passed.
func TestClosedConnectionsKeepTheirSlots(t *testing.T) {
	clock := faketime.NewManualClock()
	cfg := podConfig()
	cfg.clock = clock
	before := heap()
	p := newRawPeer(t, cfg, dialTo(target(t, brief)), func(p *rawPeer, from netip.AddrPort, got *layers.TCP) {
		if got.SYN {
			p.say(from, got, 0, flagACK|flagFIN, nil)
		}
	})
	p.open(3 * maxConns)
	if n := p.connections(); n != maxConns {
		t.Errorf("%d connections, want %d", n, maxConns)
	}
	expectGrowth(t, before, boundKeptPort)
	p.await("the services to end", func() bool { return p.in(tcp.StateLastAck, tcp.StateClosing) == maxConns })
	clock.Advance(closeTimeout)
	p.await("the slots to be free", func() bool { return p.connections() == 0 })
}

// TestTimeWaitIsBounded opens connections that the target closes first. A connection in TIME-WAIT holds no buffer, and nothing remains of
// it afterwards.
func TestTimeWaitIsBounded(t *testing.T) {
	clock := faketime.NewManualClock() // nobody leaves TIME-WAIT before it says so
	cfg := podConfig()
	cfg.clock = clock
	before := heap()
	says := func(c *net.TCPConn) { _, _ = io.WriteString(c, "hello") }
	p := newRawPeer(t, cfg, dialTo(target(t, says)), func(p *rawPeer, from netip.AddrPort, got *layers.TCP) {
		switch {
		case got.SYN:
			p.say(from, got, 0, flagACK, nil)
		case got.FIN:
			p.say(from, got, 0, flagACK|flagFIN, nil)
		}
	})
	for range 3 * maxTimeWait / 2 / maxConns {
		p.open(maxConns)
		p.await("all to be in TIME-WAIT", func() bool {
			n := p.connections()
			return n <= maxTimeWait && p.in(tcp.StateTimeWait) == n
		})
	}
	if n := p.connections(); n != maxTimeWait {
		t.Errorf("%d connections, want %d", n, maxTimeWait)
	}
	expectGrowth(t, before, boundTimeWait)
	clock.Advance(timeWait)
	p.await("the end of TIME-WAIT", func() bool { return p.connections() == 0 && p.timeWaits.len() == 0 })
	expectGrowth(t, before, boundForgotten)
}

// len returns the number of connections.
func (w *timeWaits) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list.Len()
}

// TestNoNeighbours checks that the endpoint stores no neighbours that it receives ARP from.
func TestNoNeighbours(t *testing.T) {
	pod := open(t, podConfig())
	for i := range 1000 {
		sender := netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)})
		pod.put(arpRequestFrame(t, vswitch.MAC{2, 1, 0, 0, byte(i >> 8), byte(i)}, sender, podAddress))
		pod.next()
	}
	if entries, _ := pod.stack.Neighbors(nicID, header.IPv4ProtocolNumber); len(entries) != 0 {
		t.Errorf("%d neighbours, want none", len(entries))
	}
}
