package unixport

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// A load passes one batch from a peer to a port, and one back.
type load struct {
	port  vswitch.Port
	peer  *net.UnixConn
	bytes []byte // the peer's stream; empty: each frame is a datagram
	batch []vswitch.Frame
	out   []vswitch.Frame
	room  []byte
	err   error
}

// loadFrames is the number of frames in a batch: the kernel's default queue of a datagram socket.
const loadFrames = 8

// loads returns a load for each kind of port: with a path, and as one end of a socketpair.
var loads = []string{"stream", "dgram", "fd stream", "fd dgram", "fd seqpacket"}

func newLoad(t testing.TB, kind string, size int) *load {
	folder := t.TempDir()
	path, remote := filepath.Join(folder, "port"), filepath.Join(folder, "peer")
	l := &load{batch: make([]vswitch.Frame, vswitch.BatchSize), room: make([]byte, 1<<20)}
	for i := range loadFrames {
		l.out = append(l.out, vswitch.Frame{Data: frame(size, i)})
		if strings.HasSuffix(kind, "stream") {
			l.bytes = append(l.bytes, framed(frame(size, i))...)
		}
	}
	var err error
	pair := func(kind int) {
		var fd int
		fd, l.peer = socketpair(t, kind)
		l.port, err = openFD(fd, new(vswitch.Counters), Options{})
	}
	network, local := "unix", (*net.UnixAddr)(nil)
	switch kind {
	case "stream":
		l.port, err = openStream(path, new(vswitch.Counters), Options{})
	case "dgram":
		network, local = "unixgram", &net.UnixAddr{Name: remote, Net: "unixgram"}
		l.port, err = openDgram(path, remote, new(vswitch.Counters))
	case "fd stream":
		pair(unix.SOCK_STREAM)
	case "fd dgram":
		pair(unix.SOCK_DGRAM)
	case "fd seqpacket":
		pair(unix.SOCK_SEQPACKET)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.port.Close() })
	if l.peer == nil {
		if l.peer, err = net.DialUnix(network, local, &net.UnixAddr{Name: path, Net: network}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.peer.Close() })
	}
	if err := l.peer.SetWriteBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	l.run()
	if l.err != nil {
		t.Fatal(l.err)
	}
	return l
}

// run passes one batch from the peer to the port, and one back.
func (l *load) run() {
	if len(l.bytes) > 0 {
		_, l.err = l.peer.Write(l.bytes)
	} else {
		for i := range l.out {
			if _, l.err = l.peer.Write(l.out[i].Data); l.err != nil {
				return
			}
		}
	}
	for got := 0; got < loadFrames && l.err == nil; {
		n, err := l.port.Receive(l.batch)
		got, l.err = got+n, err
	}
	l.port.Transmit(l.out)
	want, reads := len(l.bytes), loadFrames
	for got, i := 0, 0; l.err == nil && (want > 0 && got < want || want == 0 && i < reads); i++ {
		n, err := l.peer.Read(l.room)
		got, l.err = got+n, err
	}
}

func TestAllocs(t *testing.T) {
	for _, kind := range loads {
		l := newLoad(t, kind, 1514)
		if n := testing.AllocsPerRun(200, l.run); n != 0 || l.err != nil {
			t.Errorf("%s: %v allocations for %d frames each way, %v; want none", kind, n, loadFrames, l.err)
		}
	}
}

func BenchmarkPorts(b *testing.B) {
	for _, kind := range loads {
		b.Run(kind, func(b *testing.B) {
			l := newLoad(b, kind, 1514)
			b.ReportAllocs()
			b.SetBytes(2 * loadFrames * 1514)
			for b.Loop() {
				l.run()
			}
			if l.err != nil {
				b.Fatal(l.err)
			}
		})
	}
}
