package stack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// A target is a server on the process's loopback. It serves each connection on a goroutine of its own, until the end of the test.
func target(t testing.TB, serve func(*net.TCPConn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

// echoBack writes back the bytes that it reads, until the end.
func echoBack(c *net.TCPConn) { _, _ = io.Copy(c, c) }

// dialTo returns a dial function for the target.
func dialTo(to string) Dial {
	return func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", to)
	}
}

// keep makes a kept port.
func keep(t testing.TB, e *Endpoint, port uint16, to string) {
	t.Helper()
	if err := e.Keep(KeptPort{Network: "tcp", Port: port, Dial: dialTo(to)}); err != nil {
		t.Fatal(err)
	}
}

func TestKeptPortCarriesBothWays(t *testing.T) {
	pod, other := newPod(t)
	keep(t, pod, 8080, target(t, echoBack))
	c := other.mustDial(t, 8080)

	sent := make([]byte, 2<<20)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(sent)
	var writing sync.WaitGroup
	writing.Go(func() {
		if _, err := c.Write(sent); err != nil {
			t.Errorf("write: %v", err)
		}
		_ = c.CloseWrite()
	})
	got, err := io.ReadAll(c)
	writing.Wait()
	if err != nil || sha256.Sum256(got) != sha256.Sum256(sent) {
		t.Errorf("got %d bytes back of %d, %v", len(got), len(sent), err)
	}
	if other.segments.Load() == 0 {
		t.Error("no frame left the endpoint to be segmented")
	}
}

func TestKeptPortHalfClose(t *testing.T) {
	// The target answers only after the end of the request, as "nc -N" and HTTP/1.0 clients need it.
	pod, other := newPod(t)
	keep(t, pod, 8080, target(t, func(c *net.TCPConn) {
		request, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %s", request)
	}))
	c := other.mustDial(t, 8080)
	_, _ = c.Write([]byte("question"))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "got question" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestKeptPortHalfCloseByTheTarget(t *testing.T) {
	pod, other := newPod(t)
	received := make(chan string, 1)
	keep(t, pod, 8080, target(t, func(c *net.TCPConn) {
		_, _ = c.Write([]byte("banner"))
		_ = c.CloseWrite()
		rest, _ := io.ReadAll(c)
		received <- string(rest)
	}))
	c := other.mustDial(t, 8080)
	if banner, err := io.ReadAll(c); string(banner) != "banner" || err != nil {
		t.Fatalf("got %q, %v", banner, err)
	}
	_, _ = c.Write([]byte("late"))
	_ = c.CloseWrite()
	if got := within(t, received); got != "late" {
		t.Errorf("target got %q", got)
	}
}

func TestKeptPortPassesResetsOn(t *testing.T) {
	pod, other := newPod(t)
	keep(t, pod, 8080, target(t, func(c *net.TCPConn) {
		_, _ = io.ReadFull(c, make([]byte, 1))
		_ = c.SetLinger(0)
	}))
	c := other.mustDial(t, 8080)
	_, _ = c.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read after the target's reset: %v, want a reset", err)
	}
}

func TestKeptPortRefusesAsItsTargetDoes(t *testing.T) {
	pod, other := newPod(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	keep(t, pod, 8080, listener.Addr().String())
	_ = listener.Close()
	for _, port := range []uint16{8080, 8081} {
		if c, err := other.dial(port); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("port %d: %v, %v; want it refused", port, c, err)
		}
	}
}

// TestKeptPortBoundsConnections checks that one client gets three quarters of the places, and that a place can be used again.
func TestKeptPortBoundsConnections(t *testing.T) {
	pod, other := newPod(t)
	keep(t, pod, 8080, target(t, echoBack))
	first := other.mustDial(t, 8080)
	const share = maxConns * fairShare / (fairShare + 1)
	for range share - 1 {
		other.mustDial(t, 8080)
	}
	other.awaitRefusal(t, 8080)
	_ = first.CloseWrite()
	_, _ = io.ReadAll(first)
	await(t, "a free place", func() bool {
		again, err := other.dial(8080)
		if err == nil {
			again.Close()
		}
		return err == nil
	})
}

// TestPlacesAreShared checks that each further client finds a place, until there is none.
func TestPlacesAreShared(t *testing.T) {
	p := places{limit: maxConns, isShared: true}
	client := func(i int) tcpip.Address { return tcpip.AddrFrom4([4]byte{10, 1, 0, byte(i)}) }
	for i := range 20 {
		n := 0
		for p.take(client(i)) != 0 {
			n++
		}
		if free := p.limit - p.taken; n == 0 && free > 0 {
			t.Fatalf("client %d got no place of %d", i, free)
		}
		switch {
		case i == 0 && n != 192:
			t.Errorf("one client got %d places, want 192", n)
		case i == 1 && n < 40:
			t.Errorf("the second client got %d places", n)
		}
	}
	if p.taken != maxConns || p.take(client(20)) != 0 {
		t.Errorf("%d places of %d are taken", p.taken, maxConns)
	}
	for c, n := range maps.Clone(p.byClient) {
		for range n {
			p.leave(c)
		}
	}
	if p.taken != 0 || len(p.byClient) != 0 {
		t.Errorf("%d places are taken, by %v", p.taken, p.byClient)
	}
}

// TestKeptPortForgetsPeersOfAClosedTarget opens connections whose target writes and closes, from clients that read to the end and never
// close: their places are free after a minute, as an orphan of Linux is.
func TestKeptPortForgetsPeersOfAClosedTarget(t *testing.T) {
	clock := faketime.NewManualClock()
	cfg := podConfig()
	cfg.clock = clock
	var ended atomic.Int32
	p := newRawPeer(t, cfg, dialTo(target(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, "hello") })),
		func(p *rawPeer, from netip.AddrPort, got *layers.TCP) {
			if got.FIN {
				ended.Add(1)
			}
			p.say(from, got, 0, flagACK, nil)
		})
	p.open(maxConns)
	p.await("the clients to read to the end", func() bool { return ended.Load() == maxConns })
	p.await("the endpoint to know", func() bool { return p.in(tcp.StateFinWait2) == maxConns })
	passed := time.Duration(0)
	p.await("the connections to be reset", func() bool {
		if passed < 3*maxPeerIdle { // in steps: a timer may start after the client has read to the end
			clock.Advance(maxPeerIdle / 4)
			passed += maxPeerIdle / 4
		}
		return p.connections() == 0
	})
}

// TestKeptPortForgetsSilentTargets opens a connection whose client ends writing at once, to a target that neither writes nor closes: its place is
// free after maxTargetIdle, and not before. The client answers keepalive probes.
func TestKeptPortForgetsSilentTargets(t *testing.T) {
	clock := faketime.NewManualClock()
	cfg := podConfig()
	cfg.clock = clock
	read := make(chan struct{}, 1)
	var answered atomic.Uint64
	p := newRawPeer(t, cfg, dialTo(target(t, func(c *net.TCPConn) {
		_, _ = io.ReadAll(c)
		read <- struct{}{}
		<-t.Context().Done()
	})), func(p *rawPeer, from netip.AddrPort, got *layers.TCP) {
		switch {
		case got.SYN:
			p.say(from, got, 0, flagACK|flagFIN, nil)
		default:
			p.say(from, got, 0, flagACK, nil)
		}
		answered.Add(1)
	})
	p.open(1)
	within(t, read)
	const step = 15 * time.Second
	for passed := step; passed < maxTargetIdle; passed += step {
		clock.Advance(step)
		p.await("all segments to be answered", func() bool { return answered.Load() == p.stack.Stats().TCP.SegmentsSent.Value() })
	}
	if got := p.connections(); got != 1 {
		t.Fatalf("%d connections are left before the limit, want 1", got)
	}
	passed := time.Duration(0)
	p.await("the connection to be reset", func() bool {
		if passed < maxTargetIdle { // in steps: the limit may begin after the target has read to the end
			clock.Advance(step)
			passed += step
		}
		return p.connections() == 0
	})
}

// TestIdleLimitCountsData checks that a reader with data is not idle.
func TestIdleLimitCountsData(t *testing.T) {
	clock := faketime.NewManualClock()
	r := &countingReader{Reader: zeros{}}
	var expired atomic.Bool
	l := newIdleLimit(clock, time.Minute, r, func() { expired.Store(true) })
	for range 3 {
		_, _ = r.Read(make([]byte, 1))
		clock.Advance(time.Minute)
	}
	if expired.Load() {
		t.Error("the limit expired although the reader had data")
	}
	clock.Advance(time.Minute)
	if !expired.Load() {
		t.Error("the limit did not expire")
	}
	l.stop()
}

// TestKeptPortTellsTheClient checks the PROXY header byte by byte.
func TestKeptPortTellsTheClient(t *testing.T) {
	pod, other := newPod(t)
	received := make(chan []byte, 1)
	to := target(t, func(c *net.TCPConn) {
		got, _ := io.ReadAll(c)
		received <- got
	})
	if err := pod.Keep(KeptPort{Network: "tcp", Port: 8080, Dial: dialTo(to), Proxy: true}); err != nil {
		t.Fatal(err)
	}
	c := other.mustDial(t, 8080)
	local := c.LocalAddr().(*net.TCPAddr)
	_, _ = c.Write([]byte("data"))
	_ = c.CloseWrite()
	want := "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a" + "\x21\x11\x00\x0c" + "\x0a\xf4\x09\x09" + "\x0a\xf4\x01\x07" +
		string([]byte{byte(local.Port >> 8), byte(local.Port)}) + "\x1f\x90" + "data"
	if got := within(t, received); string(got) != want {
		t.Errorf("the target got %q, want %q", got, want)
	}
}

func TestKeptPortClosesItsSockets(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close them, too
	pod, other := newPod(t)
	keep(t, pod, 8080, target(t, echoBack))
	before := openSockets(t)
	for range 20 {
		c := other.mustDial(t, 8080)
		_ = c.CloseWrite()
		_, _ = io.ReadAll(c)
	}
	await(t, "the sockets to be closed", func() bool { return openSockets(t) <= before })
}

// openSockets counts the sockets among the process's file descriptors. Others come and go by themselves: the net package keeps pipes to
// splice connections until the garbage collector takes them.
func openSockets(t *testing.T) (count int) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			count++
		}
	}
	return count
}

func TestHalfOpenAttemptIsGivenUp(t *testing.T) {
	clock := faketime.NewManualClock()
	cfg := podConfig()
	cfg.clock = clock
	pod := open(t, cfg)
	ended := make(chan struct{})
	keep(t, pod.Endpoint, 8080, target(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1))
		close(ended)
	}))
	pod.put(synFrame(t, addrPort(otherAddress, 4000), addrPort(podAddress, 8080)))
	answer := decode(t, pod.next().data).Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !answer.SYN || !answer.ACK {
		t.Fatalf("want SYN-ACK, got %+v", answer)
	}
	clock.Advance(handshakeTimeout)
	within(t, ended)
}

// TestHandshakesMakeRoom opens more connections than there may be unfinished handshakes, from forged addresses that never answer: each
// client between them is served at once, and the target sees few of the forged ones.
func TestHandshakesMakeRoom(t *testing.T) {
	cfg := podConfig()
	cfg.clock = faketime.NewManualClock() // no handshake is given up for its age
	dialled := new(atomic.Int32)
	to := target(t, echoBack)
	dial := func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		dialled.Add(1)
		return dialTo(to)(ctx, netip.AddrPort{})
	}
	var served atomic.Int32
	honest := netip.MustParseAddr("10.2.0.1")
	p := newRawPeer(t, cfg, dial, func(p *rawPeer, from netip.AddrPort, got *layers.TCP) {
		if got.SYN && from.Addr() == honest {
			p.say(from, got, 0, flagACK, nil)
			served.Add(1)
		}
	})
	for i := range 5 {
		p.open(maxHandshakes)
		p.put(synFrame(t, addrPort(honest, uint16(5000+i)), addrPort(podAddress, 8080)))
		p.await("the client to be served", func() bool {
			return served.Load() == int32(i+1) && p.in(tcp.StateEstablished) == i+1
		})
	}
	if n := p.in(tcp.StateSynRecv); n > 2*maxHandshakes {
		t.Errorf("%d unfinished handshakes", n)
	}
	if n := dialled.Load(); n > maxEagerDials+5 {
		t.Errorf("the target was dialled %d times for 5 clients", n)
	}
}

// TestHandshakesOfOneClient checks that one source address makes room for itself.
func TestHandshakesOfOneClient(t *testing.T) {
	h := handshakes{isShared: true}
	pod, _ := newPod(t)
	attempts := make([]*attempt, maxClientHandshakes+1)
	for i := range attempts {
		attempts[i] = idleAttempt(pod, 1)
		h.enter(attempts[i])
	}
	other := idleAttempt(pod, 2)
	h.enter(other)
	if attempts[0].ctx.Err() == nil || attempts[1].ctx.Err() != nil || other.ctx.Err() != nil {
		t.Error("want the oldest attempt of the client evicted, and no other one")
	}
	h.leave(attempts[0])
	if n := h.list.Len(); n != maxClientHandshakes+1 {
		t.Errorf("%d attempts remain", n)
	}
}

// idleAttempt returns an attempt of a client that does nothing.
func idleAttempt(pod *Endpoint, client byte) *attempt {
	a := &attempt{endpoint: pod, client: tcpip.AddrFrom4([4]byte{10, 0, 0, client})}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}
