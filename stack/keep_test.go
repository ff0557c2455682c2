package stack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
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
func dialTo(to string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", to) }
}

// keep makes a kept port.
func keep(t testing.TB, e *Endpoint, port uint16, to string) {
	t.Helper()
	if err := e.KeepTCP(port, dialTo(to)); err != nil {
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

func TestKeptPortBoundsConnections(t *testing.T) {
	pod, other := newPod(t)
	keep(t, pod, 8080, target(t, echoBack))
	for i := range maxConns {
		c := other.mustDial(t, 8080)
		if i == 0 {
			defer func() {
				// A released slot can be used again.
				_ = c.CloseWrite()
				_, _ = io.ReadAll(c)
				await(t, "a free place", func() bool {
					again, err := other.dial(8080)
					if err == nil {
						again.Close()
					}
					return err == nil
				})
			}()
		}
	}
	if _, err := other.dial(8080); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("connection %d: %v, want it refused", maxConns+1, err)
	}
}

func TestKeptPortClosesItsSockets(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close them, too
	pod, other := newPod(t)
	keep(t, pod, 8080, target(t, echoBack))
	before := openFiles(t)
	for range 20 {
		c := other.mustDial(t, 8080)
		_ = c.CloseWrite()
		_, _ = io.ReadAll(c)
	}
	await(t, "the sockets to be closed", func() bool { return openFiles(t) <= before })
}

// openFiles counts the process's file descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
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
