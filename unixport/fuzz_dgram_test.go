package unixport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// FuzzDgram sends arbitrary datagrams through a real socket. The port must return the frames and drops of a reference, and send the frames
// back unchanged. An input is a sequence of a length in two bytes and that many bytes; missing bytes at the end are zeros.
func FuzzDgram(f *testing.F) {
	sized := func(lengths ...int) (stream []byte) {
		for i, n := range lengths {
			stream = append(binary.BigEndian.AppendUint16(stream, uint16(n)), frame(min(n, 300), i+1)...)
			stream = append(stream, make([]byte, n-min(n, 300))...)
		}
		return stream
	}
	for _, seed := range []struct {
		name   string
		stream []byte
		packet bool
		batch  byte
	}{
		{"a frame", sized(60), false, 0},
		{"empty, and shorter than a header", sized(0, 1, 13, 14), false, 8},
		{"an empty packet is no end while the peer is there", sized(0, 60, 0), true, 8},
		{"vfkit's greeting is no frame", []byte("\x00\x04VFKT\x00\x04vfkt\x00\x05VFKT!"), false, 3},
		{"the largest, and one byte more", append(sized(60), 0xff, 0xff), true, 1},
		{"nothing but what is no frame", sized(0, 0, 3, 3, 13), true, 2},
		{"more than a batch", sized(14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27), false, 2},
		{"nothing", nil, true, 1},
	} {
		f.Add(seed.stream, seed.packet, seed.batch)
	}
	f.Fuzz(func(t *testing.T, stream []byte, packet bool, batch byte) {
		kind := unix.SOCK_DGRAM
		if packet {
			kind = unix.SOCK_SEQPACKET
		}
		fd, peer := socketpair(t, kind)
		defer peer.Close()
		p, err := openFD(fd, new(vswitch.Counters), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		room := make([]vswitch.Frame, 1+int(batch)%vswitch.BatchSize)
		var want dgrams
		for n := 0; len(stream) >= 2 && n < 64; n++ {
			datagram := make([]byte, binary.BigEndian.Uint16(stream))
			copy(datagram, stream[2:])
			stream = stream[min(len(stream), 2+len(datagram)):]
			if n%7 == 0 { // above vswitch.MaxFrame
				datagram = append(datagram, make([]byte, len(datagram)/2)...)
			}
			want.add(datagram)
			want.exchange(t, p, peer, datagram, room)
		}
		want.end(t, p, peer, room, packet)
	})
}

// dgrams are the reference's frames and drops.
type dgrams struct {
	waiting          [][]byte // frames not received yet
	short, truncated uint64
}

// add is the reference: it adds the frame of a datagram, or counts a drop.
func (d *dgrams) add(datagram []byte) {
	switch {
	case len(datagram) > vswitch.MaxFrame:
		d.truncated++
	case string(datagram) == "VFKT":
	case len(datagram) < 14:
		d.short++
	default:
		d.waiting = append(d.waiting, datagram)
	}
}

// exchange sends a datagram, and receives when several frames are queued.
func (d *dgrams) exchange(t *testing.T, p vswitch.Port, peer *net.UnixConn, datagram []byte, room []vswitch.Frame) {
	t.Helper()
	if _, err := peer.Write(datagram); err != nil {
		t.Fatal(err)
	}
	if len(d.waiting) >= 3 {
		d.receive(t, p, peer, room)
		return
	}
	if last := frame(14, 99); len(datagram) < 14 || len(datagram) > vswitch.MaxFrame { // Receive returns only with a frame
		d.waiting = append(d.waiting, last)
		if _, err := peer.Write(last); err != nil {
			t.Fatal(err)
		}
		d.receive(t, p, peer, room)
	}
}

// receive receives every queued frame and sends it back.
func (d *dgrams) receive(t *testing.T, p vswitch.Port, peer *net.UnixConn, room []vswitch.Frame) {
	t.Helper()
	back := make([]byte, vswitch.MaxFrame+1)
	for len(d.waiting) > 0 {
		n, err := p.Receive(room)
		if err != nil || n == 0 || n > len(d.waiting) {
			t.Fatalf("%d frames and %v, want at most %d", n, err, len(d.waiting))
		}
		for _, f := range room[:n] {
			if !bytes.Equal(f.Data, d.waiting[0]) {
				t.Fatalf("a frame of %d bytes %.20x, want %d bytes %.20x", len(f.Data), f.Data, len(d.waiting[0]), d.waiting[0])
			}
			p.Transmit([]vswitch.Frame{f})
			if got, err := peer.Read(back); err != nil || !bytes.Equal(back[:got], d.waiting[0]) {
				t.Fatalf("%d bytes came back, %v; want %d", got, err, len(d.waiting[0]))
			}
			d.waiting = d.waiting[1:]
		}
	}
}

// end sends a last frame and hangs up. Only a seqpacket port notices the hang-up.
func (d *dgrams) end(t *testing.T, p vswitch.Port, peer *net.UnixConn, room []vswitch.Frame, packet bool) {
	t.Helper()
	last := frame(14, 99)
	d.add(last)
	if _, err := peer.Write(last); err != nil {
		t.Fatal(err)
	}
	d.receive(t, p, peer, room)
	drops := p.Counters().Drops()
	if drops["short"] != d.short || drops["truncated"] != d.truncated || drops["port-full"]+drops["port-down"] > 0 {
		t.Fatalf("drops %v, want %d short and %d truncated", drops, d.short, d.truncated)
	}
	if !packet {
		return
	}
	peer.Close()
	room = make([]vswitch.Frame, vswitch.BatchSize) // the end comes after many empty packets
	for range 2 {
		if n, err := p.Receive(room); n != 0 || !errors.Is(err, io.EOF) {
			t.Fatalf("%d frames and %v after the peer hung up", n, err)
		}
	}
}
