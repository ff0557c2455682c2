package unixport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// FuzzHandover passes arbitrary bytes from a peer to a port and frames back, through a real socket with small buffers, and replaces the port
// where the steps say so. The ports must return the frames of the reference, and the peer must receive every accepted frame once and in
// order. The low two bits of a step are the operation, and the others its amount.
func FuzzHandover(f *testing.F) {
	step := func(what, much byte) byte { return what | much<<2 }
	for _, seed := range []struct {
		name          string
		stream, steps []byte
	}{
		{"nothing", nil, nil},
		{"a frame cut by a handover", framed(frame(60, 1)), []byte{step(0, 4), step(3, 1), step(0, 63), step(1, 1)}},
		{"ends within a frame", framed(frame(60, 1))[:50], []byte{step(0, 4), step(3, 1)}},
		{"frames read and not delivered", framed(frame(14, 1), frame(14, 2), frame(14, 3)), []byte{step(0, 63), step(1, 0), step(3, 1), step(1, 9)}},
		{"short ones between", framed(frame(13, 1), frame(14, 2), nil, frame(15, 3)), []byte{step(0, 20), step(1, 1), step(3, 3)}},
		{"a length that cannot be, cut", append(framed(frame(60, 1)), 0x80, 0, 0, 0, 9, 9), []byte{step(0, 64/8+1), step(1, 0), step(3, 1), step(0, 63)}},
		{"a full peer, handovers within a frame", nil, []byte{step(2, 63), step(3, 1), step(2, 5), step(3, 5), step(2, 60), step(3, 63)}},
		{"several at once, to a full peer", nil, []byte{step(2, 47), step(2, 47), step(2, 3), step(3, 62), step(2, 31), step(3, 1)}},
		{"both ways", framed(frame(900, 1), frame(300, 2)), []byte{step(0, 63), step(2, 40), step(3, 1), step(0, 63), step(1, 3), step(3, 2), step(2, 4)}},
	} {
		f.Add(seed.name, seed.stream, seed.steps)
	}
	f.Fuzz(func(t *testing.T, _ string, stream, steps []byte) {
		h := newHandover(t, stream[:min(len(stream), 1<<16)])
		for _, s := range steps[:min(len(steps), 64)] {
			switch much := int(s >> 2); s & 3 {
			case 0:
				h.write(8 * (much + 1))
			case 1:
				h.receive(much + 1)
			case 2:
				h.transmit(1+much%4, 14+1000*much)
			case 3:
				h.read(512 * much)
				if much%2 == 1 {
					h.handOver()
					h.little()
				}
			}
		}
		h.end()
	})
}

// A handoverTest is a relay and the reference's expectations.
type handoverTest struct {
	*relay
	peer      int
	stream    []byte // the peer's bytes
	written   int    // bytes of stream that were sent
	delivered int    // frames
	wanted    []byte // bytes that the peer has not read yet
	sent      int    // frames passed to Transmit
}

func newHandover(t *testing.T, stream []byte) *handoverTest {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[1]) })
	h := &handoverTest{relay: newRelay(t, Socket{FD: fds[0], Type: typeStream, Connected: true}, Options{}), peer: fds[1], stream: stream}
	h.little()
	return h
}

// little makes the port's socket buffer small again after a new port has enlarged it.
func (h *handoverTest) little() {
	if err := unix.SetsockoptInt(h.socket.FD, unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
		h.t.Fatal(err)
	}
}

// write sends up to n more bytes, or as many as the socket has room for.
func (h *handoverTest) write(n int) {
	n, err := unix.Write(h.peer, h.stream[h.written:min(len(h.stream), h.written+n)])
	if err != nil && err != unix.EAGAIN {
		h.t.Fatal(err)
	}
	h.written += max(n, 0)
}

// receive calls Receive once for up to n frames, if the reference has a frame.
func (h *handoverTest) receive(n int) {
	want := decodeSlowly(h.stream[:h.written]).frames[h.delivered:]
	if len(want) == 0 {
		return
	}
	room := make([]vswitch.Frame, n)
	n, err := h.Receive(room)
	if err != nil || n == 0 || n > len(want) {
		h.t.Fatalf("%d frames and %v, want at most %d", n, err, len(want))
	}
	for i, f := range room[:n] {
		if !bytes.Equal(f.Data, want[i]) {
			h.t.Fatalf("frame %d has %d bytes %.20x, want %d bytes %.20x", h.delivered+i, len(f.Data), f.Data, len(want[i]), want[i])
		}
	}
	h.delivered += n
}

// transmit transmits n frames in one batch, of which the port accepts the first ones.
func (h *handoverTest) transmit(n, size int) {
	batch := make([]vswitch.Frame, n)
	for i := range batch {
		batch[i].Data = frame(size+i, h.sent+i)
	}
	before := h.counters.Drops()["port-full"]
	h.Transmit(batch)
	for _, f := range batch[:n-int(h.counters.Drops()["port-full"]-before)] {
		h.wanted = append(binary.BigEndian.AppendUint32(h.wanted, uint32(len(f.Data))), f.Data...)
		h.sent++
	}
}

// read has the peer read up to n queued bytes.
func (h *handoverTest) read(n int) {
	b := make([]byte, n)
	n, err := unix.Read(h.peer, b)
	if err == unix.EAGAIN {
		return
	}
	if err != nil || n > len(h.wanted) || !bytes.Equal(b[:n], h.wanted[:n]) {
		h.t.Fatalf("the peer sees %d bytes %.20x, %v; want %.20x", n, b[:max(n, 0)], err, h.wanted)
	}
	h.wanted = h.wanted[n:]
}

// end transfers the remaining bytes both ways.
func (h *handoverTest) end() {
	for len(h.wanted) > 0 {
		fds := []unix.PollFd{{Fd: int32(h.peer), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, int(testTimeout.Milliseconds())); n == 0 || err != nil && err != unix.EINTR {
			h.t.Fatalf("%d bytes never came: %v", len(h.wanted), err)
		}
		h.read(1 << 20)
	}
	h.handOver()
	h.read(1)
	for h.written < len(h.stream) {
		h.write(len(h.stream))
		for before := -1; before < h.delivered; {
			before = h.delivered
			h.receive(vswitch.BatchSize)
		}
	}
	want := decodeSlowly(h.stream)
	for h.delivered < len(want.frames) {
		h.receive(vswitch.BatchSize)
	}
	h.hangUp(want)
	if drops := h.counters.Drops(); drops["short"] != want.short || want.broken != (drops["truncated"] > 0) || drops["port-down"] > 0 {
		h.t.Fatalf("drops %v, want %d short, broken %t", drops, want.short, want.broken)
	}
}

// hangUp expects the end of the stream that the reference has.
func (h *handoverTest) hangUp(want decoded) {
	if err := unix.Shutdown(h.peer, unix.SHUT_WR); err != nil {
		h.t.Fatal(err)
	}
	n, err := h.Receive(make([]vswitch.Frame, 1))
	var length *lengthError
	fit := err == io.EOF
	switch {
	case want.broken:
		fit = errors.As(err, &length) && length.Error() != ""
	case want.left > 0:
		fit = err == io.ErrUnexpectedEOF
	}
	if n != 0 || !fit {
		h.t.Fatalf("%d frames and %v at the end; broken %t, %d bytes left", n, err, want.broken, want.left)
	}
}
