package control

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
)

// timeout bounds the time for an expected event.
const timeout = 20 * time.Second

// await polls until condition returns nil.
func await(t testing.TB, what string, condition func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(timeout); ; <-tick.C {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("timeout: waited for %s: %v", what, err)
		}
	}
}

// busy is a source with a status of ordinary size and a forwarding database that fills no socket's buffer.
func busy() Source {
	stations := make([]Station, 20000)
	ports := []Port{{Name: "guest", Drops: map[string]uint64{"vlan": 7}}, {Name: "uplink"}, {Name: "pod"}, {Name: "server"}}
	return Source{
		Status:   func() Status { return Status{Holder: "guest", Ports: ports} },
		Stations: func() []Station { return stations },
	}
}

// connect dials the socket.
func connect(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UnixConn)
}

// hostileClients are behaviours of a client. Each returns at once or when the server has closed the connection.
func hostileClients() map[string]func(c *net.UnixConn) {
	write := func(text string) func(*net.UnixConn) {
		return func(c *net.UnixConn) { _, _ = io.WriteString(c, text) }
	}
	return map[string]func(*net.UnixConn){
		"says nothing":       func(*net.UnixConn) {},
		"half a header":      write("GET /status HTTP/1.1\r\nHost: podswitch\r\nX-"),
		"never reads":        write("GET /fdb HTTP/1.1\r\nHost: podswitch\r\n\r\n"),
		"garbage":            write("\x16\x03\x01\x00\xff\x00\n\n\r\n\x00"),
		"a body to come":     write("GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx"),
		"a body in chunks":   write("POST /status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"),
		"pipelined requests": write(strings.Repeat("GET /status HTTP/1.1\r\nHost: podswitch\r\n\r\n", 500)),
		"half closed": func(c *net.UnixConn) {
			_, _ = io.WriteString(c, "GET /status HTTP/1.1\r\nHost: podswitch\r\n")
			_ = c.CloseWrite()
		},
		"a header without end": func(c *net.UnixConn) {
			line := "X-More: " + strings.Repeat("x", 1000) + "\r\n"
			_, err := io.WriteString(c, "GET /status HTTP/1.1\r\nHost: podswitch\r\n")
			for err == nil {
				_, err = io.WriteString(c, line)
			}
		},
		"a byte at a time": func(c *net.UnixConn) {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			_, err := io.WriteString(c, "GET /status HTTP/1.1\r\nX: ")
			for ; err == nil; <-tick.C {
				_, err = io.WriteString(c, "x")
			}
		},
	}
}

// TestHostileClients checks that a client gets its status beside hostile clients in all other slots, that the server closes their
// connections, and that no descriptor, goroutine or memory is left.
func TestHostileClients(t *testing.T) {
	for name, attack := range hostileClients() {
		t.Run(name, func(t *testing.T) {
			path := serving(t, busy())
			goroutines := runtime.NumGoroutine()
			var attacking sync.WaitGroup
			began := time.Now()
			for range maxConns {
				c := connect(t, path)
				attacking.Go(func() {
					attack(c)
					awaitEnd(c)
				})
			}
			expectStatus(t, path)
			t.Logf("a good client waited %s", time.Since(began).Round(time.Millisecond))
			attacking.Wait()
			if lasted := time.Since(began); lasted > lifetime+timeout/2 {
				t.Errorf("the attack lasted %s", lasted)
			}
			expectGoroutines(t, goroutines)
		})
	}
}

// awaitEnd waits, without reading, until the server has closed c.
func awaitEnd(c *net.UnixConn) {
	_, _ = descriptor.Borrow(c, func(fd int) (int, error) {
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, int(timeout/time.Millisecond))
			if err != unix.EINTR {
				return n, err
			}
		}
	})
}

// expectStatus waits for a response with the status.
func expectStatus(t *testing.T, path string) {
	t.Helper()
	await(t, "the status", func() error {
		var got Status
		return Get(t.Context(), path, StatusPath, &got)
	})
}

func expectGoroutines(t *testing.T, before int) {
	t.Helper()
	await(t, "the goroutines to end", func() error {
		if n := runtime.NumGoroutine(); n > before {
			return fmt.Errorf("%d goroutines, there were %d", n, before)
		}
		return nil
	})
}

// TestThousandsOfConnections checks that the server's resources are bounded.
func TestThousandsOfConnections(t *testing.T) {
	var told atomic.Int64
	s := busy()
	s.Log = zap.New(zapcore.RegisterHooks(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zap.WarnLevel),
		func(e zapcore.Entry) error {
			if strings.Contains(e.Message, "too many") {
				told.Add(1)
			}
			return nil
		}))
	path := serving(t, s)
	expectStatus(t, path)
	files, goroutines, before := openFiles(t), runtime.NumGoroutine(), heap()
	for range 5000 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET /status")
		_ = c.Close()
	}
	held := make([]*net.UnixConn, 200)
	for i := range held {
		held[i] = connect(t, path)
	}
	await(t, "what is too much to be refused", func() error {
		if n := openFiles(t) - files; n > len(held)+maxConns {
			return fmt.Errorf("%d files more", n)
		}
		return nil
	})
	if n := runtime.NumGoroutine() - goroutines; n > 2*maxConns {
		t.Errorf("%d goroutines more, want %d at most", n, 2*maxConns)
	}
	if after := heap(); after > before+1<<20 {
		t.Errorf("the heap has grown by %d KiB", (after-before)>>10)
	}
	for _, c := range held {
		_ = c.Close()
	}
	expectStatus(t, path)
	expectGoroutines(t, goroutines)
	if told.Load() == 0 {
		t.Error("nobody is told")
	}
}

// heap returns the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
