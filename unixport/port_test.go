package unixport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// testTimeout bounds each wait of a test, and the lifetime of its connections.
const testTimeout = time.Minute

// await polls until condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(testTimeout)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited %s for %s", testTimeout, what)
		}
	}
}

// A filePort is a port and its socket's file, whose Close closes both.
type filePort struct {
	vswitch.Port
	file *File
}

// Unwrap returns the port.
func (p *filePort) Unwrap() vswitch.Port { return p.Port }

// Close also removes the file.
func (p *filePort) Close() error { return errors.Join(p.file.Close(), p.Port.Close()) }

func openStream(path string, counters *vswitch.Counters, o Options) (vswitch.Port, error) {
	return openFile(counters, o)(Listen(path, -1))
}

func openDgram(local, remote string, counters *vswitch.Counters) (vswitch.Port, error) {
	return openFile(counters, Options{})(Bind(local, remote, -1))
}

func openFile(counters *vswitch.Counters, o Options) func(Socket, *File, error) (vswitch.Port, error) {
	return func(s Socket, file *File, err error) (vswitch.Port, error) {
		if err != nil {
			return nil, err
		}
		p, err := s.Port(counters, o)
		return &filePort{p, file}, err
	}
}

func openFD(fd int, counters *vswitch.Counters, o Options) (vswitch.Port, error) {
	s, err := Inherit(fd)
	if err != nil {
		return nil, err
	}
	return s.Port(counters, o)
}

// A testPort is a port whose Receive runs in a loop, as in a switch, with the port's events.
type testPort struct {
	vswitch.Port
	t        *testing.T
	counters *vswitch.Counters
	path     string
	frames   chan []byte
	end      chan error // the last error of Receive
	events   chan string
}

func (p *testPort) run() {
	loop, err := descriptor.NewLoop()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { p.Close(); loop.Close() })
	go loop.Do(func(turn *descriptor.Turn) {
		setTurn(p.Port, turn)
		batch := make([]vswitch.Frame, vswitch.BatchSize)
		for {
			n, err := p.Receive(batch)
			for _, f := range batch[:n] {
				p.frames <- bytes.Clone(f.Data)
			}
			if err != nil {
				setTurn(p.Port, nil) // the test may call Receive itself
				p.end <- err
				return
			}
		}
	})
}

// setTurn sets the Turn of a port or of the port that it wraps.
func setTurn(p vswitch.Port, turn *descriptor.Turn) {
	if outer, ok := p.(*filePort); ok {
		p = outer.Port
	}
	p.(interface{ SetTurn(*descriptor.Turn) }).SetTurn(turn)
}

func newTestPort(t *testing.T) *testPort {
	return &testPort{t: t, counters: new(vswitch.Counters), path: filepath.Join(t.TempDir(), "port"),
		frames: make(chan []byte, 4096), end: make(chan error, 1), events: make(chan string, 64)}
}

func streamPortFor(t *testing.T) *testPort {
	t.Helper()
	p := newTestPort(t)
	var err error
	p.Port, err = openStream(p.path, p.counters, Options{
		Connected:    func() { p.events <- "connected" },
		Disconnected: func(err error) { p.events <- fmt.Sprint("disconnected: ", err) },
		Refused:      func(err error) { p.events <- fmt.Sprint("refused: ", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	p.run()
	return p
}

func dgramPortFor(t *testing.T, remote string) *testPort {
	t.Helper()
	p := newTestPort(t)
	var err error
	if p.Port, err = openDgram(p.path, remote, p.counters); err != nil {
		t.Fatal(err)
	}
	p.run()
	return p
}

func (p *testPort) wantFrame(want []byte) {
	p.t.Helper()
	select {
	case got := <-p.frames:
		if !bytes.Equal(got, want) {
			p.t.Fatalf("frame of %d bytes %.20x, want %d bytes %.20x", len(got), got, len(want), want)
		}
	case <-time.After(testTimeout):
		p.t.Fatalf("no frame of %d bytes", len(want))
	}
}

func (p *testPort) wantEvent(want string) {
	p.t.Helper()
	select {
	case got := <-p.events:
		if got != want {
			p.t.Fatalf("event %q, want %q", got, want)
		}
	case <-time.After(testTimeout):
		p.t.Fatalf("no event %q", want)
	}
}

func (p *testPort) wantDrops(reason vswitch.Reason, want uint64) {
	p.t.Helper()
	await(p.t, fmt.Sprintf("%d drops %s", want, reason), func() bool { return p.counters.Drops()[reason.String()] == want })
}

// wantClosed closes the port, and expects Receive to return net.ErrClosed.
func (p *testPort) wantClosed() {
	p.t.Helper()
	if err := p.Close(); err != nil {
		p.t.Fatal(err)
	}
	select {
	case err := <-p.end:
		if !errors.Is(err, net.ErrClosed) {
			p.t.Fatalf("Receive returned %v, want net.ErrClosed", err)
		}
	case <-time.After(testTimeout):
		p.t.Fatal("Receive did not return")
	}
	if err := p.Close(); err != nil {
		p.t.Fatalf("second Close: %v", err)
	}
}

func (p *testPort) transmit(frames ...[]byte) {
	batch := make([]vswitch.Frame, len(frames))
	for i := range frames {
		batch[i].Data = frames[i]
	}
	p.Transmit(batch)
}

// dial connects a peer to a stream port.
func (p *testPort) dial() *net.UnixConn {
	p.t.Helper()
	conn, err := net.Dial("unix", p.path)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		p.t.Fatal(err)
	}
	return conn.(*net.UnixConn)
}

// frame returns a frame of n bytes, whose contents depend on the seed.
func frame(n, seed int) []byte {
	f := make([]byte, n)
	for i := range f {
		f[i] = byte(i*7 + seed)
	}
	return f
}

// framed returns the stream of the frames.
func framed(frames ...[]byte) []byte {
	var stream []byte
	for _, f := range frames {
		stream = append(binary.BigEndian.AppendUint32(stream, uint32(len(f))), f...)
	}
	return stream
}

func send(t *testing.T, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

// readFrame reads one frame as a hypervisor does.
func readFrame(r io.Reader) ([]byte, error) {
	var prefix [prefixLen]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(prefix[:])
	if n > vswitch.MaxFrame {
		return nil, &lengthError{n}
	}
	f := make([]byte, n)
	_, err := io.ReadFull(r, f)
	return f, err
}
