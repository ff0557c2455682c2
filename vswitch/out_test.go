package vswitch

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/podswitch/podswitch/internal/packet"

	"github.com/podswitch/podswitch/vnet"
)

// Flush passes on the frames of each port in order and empties the Out.
func TestOutFlush(t *testing.T) {
	counters := new(Counters)
	o := NewOut(3, counters)
	flush := func() (got []string) {
		o.Flush(func(port int, frames []Frame) {
			for _, f := range frames {
				got = append(got, string(rune('0'+port))+string(f.Data))
			}
		})
		return got
	}
	o.Send(2, Frame{Data: []byte("a")})
	o.Send(0, Frame{Data: []byte("b")})
	o.Send(2, Frame{Data: []byte("c")})
	if got, want := flush(), []string{"2a", "2c", "0b"}; !slices.Equal(got, want) {
		t.Errorf("first flush = %v, want %v", got, want)
	}
	if got := flush(); got != nil {
		t.Errorf("second flush = %v, want nothing", got)
	}
	o.Send(1, Frame{Data: []byte("d")})
	if got, want := flush(), []string{"1d"}; !slices.Equal(got, want) {
		t.Errorf("third flush = %v, want %v", got, want)
	}
	o.Drop(TooBig)
	o.Drop(TooBig)
	if diff := cmp.Diff(map[string]uint64{"too-big": 2}, counters.Drops()); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
}

// Buffers do not overlap, have no spare capacity, and are free again after Flush.
func TestOutBuffer(t *testing.T) {
	o := NewOut(1, new(Counters))
	a, b, c := o.buffer(100), o.buffer(chunkSize-100), o.buffer(1)
	if len(a) != 100 || cap(a) != 100 || len(b) != chunkSize-100 || len(c) != 1 {
		t.Fatalf("buffers of %d (cap %d), %d and %d bytes", len(a), cap(a), len(b), len(c))
	}
	a[99], b[0], c[0] = 1, 2, 3
	if a[99] != 1 || b[0] != 2 {
		t.Error("buffers overlap")
	}
	reserve(o, scratchSize-chunkSize-1)
	if c := o.buffer(1); c != nil {
		t.Errorf("a full scratch gives %d bytes", len(c))
	}
	if c := o.buffer(0); len(c) != 0 {
		t.Errorf("buffer(0) has %d bytes", len(c))
	}
	o.Flush(nil)
	if d := o.buffer(100); &d[0] != &a[0] {
		t.Error("after a flush, buffer gives other memory")
	}
	reserve(o, scratchSize-100)
	if d := o.buffer(1); d != nil {
		t.Errorf("a full scratch gives %d bytes after a flush", len(d))
	}
}

// reserve takes n bytes from o.
func reserve(o *Out, n int) {
	for ; n > 0; n -= min(n, chunkSize) {
		o.buffer(min(n, chunkSize))
	}
}

// A full batch of the largest packets is fragmented without a loss, whatever the MTU.
func TestOutFragmentsBatch(t *testing.T) {
	for _, mtu := range []int{68, 576, 1450, 9000, 65000} {
		counters := new(Counters)
		o := NewOut(1, counters)
		sent, frame := 0, &Frame{Data: packetOf(65535)}
		for range BatchSize {
			o.fragment(frame, mtu, func(*Frame) { sent++ })
		}
		size := (mtu - packet.IPv4Len) &^ 7
		if want := BatchSize * ((65535 - packet.IPv4Len + size - 1) / size); sent != want || len(counters.Drops()) != 0 {
			t.Errorf("MTU %d: %d fragments, want %d; drops %v", mtu, sent, want, counters.Drops())
		}
	}
}

// packetOf returns an Ethernet frame with an IPv4 packet of the given size without DF.
func packetOf(length int) []byte {
	b := make([]byte, packet.EthernetLen+length)
	b[12] = 0x08
	b[14], b[16], b[17], b[23] = 0x45, byte(length>>8), byte(length), 99
	return b
}

// If the buffer is too small for all fragments, the first ones leave and one drop is counted. If it is just large enough, there is no drop.
func TestOutFragmentRoom(t *testing.T) {
	const mtu = 1000 // 4 fragments: 3 of 20+976 bytes, and one of 20+72
	for _, test := range []struct {
		name  string
		room  int
		sent  int
		drops map[string]uint64
	}{
		{"all", scratchSize, 4, map[string]uint64{}},
		{"just enough", 3*(packet.EthernetLen+996) + packet.EthernetLen + mtu, 4, map[string]uint64{}},
		{"three", 3*(packet.EthernetLen+996) + packet.EthernetLen + mtu - 1, 3, map[string]uint64{"no-buffer": 1}},
		{"none", packet.EthernetLen + mtu - 1, 0, map[string]uint64{"no-buffer": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			counters := new(Counters)
			o := NewOut(1, counters)
			reserve(o, scratchSize-test.room)
			sent := 0
			o.fragment(&Frame{Data: packetOf(20 + 3*976 + 72)}, mtu, func(*Frame) { sent++ })
			if sent != test.sent {
				t.Errorf("%d fragments, want %d", sent, test.sent)
			}
			if diff := cmp.Diff(test.drops, counters.Drops()); diff != "" {
				t.Errorf("drops (-want +got):\n%s", diff)
			}
		})
	}
}

// setIPs sets source and destination of an IPv4 packet without options.
func setIPs(frame []byte, addresses ...byte) {
	copy(frame[26:], addresses)
	frame[24], frame[25] = 0, 0
	binary.BigEndian.PutUint16(frame[24:], vnet.Checksum(frame[14:34], 0))
}

// Without room for an ARP request or an ICMP error, that frame is not sent, and the frame that caused it is counted under its own reason.
func TestOutOfRoomForOwnFrames(t *testing.T) {
	counters := new(Counters)
	o := NewOut(delegatePorts, counters)
	reserve(o, scratchSize)
	d := NewDelegate(delegateConfig(Route{Destination: prefix("10.0.0.0/24")}))
	frame := packetOf(100)
	packet.SetMACs(frame, MAC{2, 9}, MAC{2, 1})
	setIPs(frame, 10, 0, 0, 7, 10, 0, 0, 9) // on-link
	d.IPv4.SetHolder(HolderGuest, MAC{2, 1})
	d.Forward(PortGuest, []Frame{{Data: frame}}, 0, o)
	setIPs(frame, 10, 0, 0, 7, 10, 0, 1, 9) // no route
	d.Forward(PortGuest, []Frame{{Data: frame}}, 0, o)
	o.Flush(func(port int, frames []Frame) { t.Errorf("%d frames at port %d, want none", len(frames), port) })
	if diff := cmp.Diff(map[string]uint64{"no-route": 1}, counters.Drops()); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
}
