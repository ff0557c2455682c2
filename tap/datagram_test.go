package tap

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// datagram returns a frame with a UDP datagram over IPv4 whose checksum is incomplete.
func datagram(payload int) []byte {
	b := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 0, 0, 9, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2, 0, 1, 0, 2, 0, 0, 0, 0}
	for i := range payload {
		b = append(b, byte(i*7+i>>8+1))
	}
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
	binary.BigEndian.PutUint16(b[24:], vnet.Checksum(b[14:34], 0))
	binary.BigEndian.PutUint16(b[38:], uint16(len(b)-34))
	binary.BigEndian.PutUint16(b[40:], vnet.Sum(nil, vnet.PseudoSum(b[26:30], b[30:34], 17, len(b)-34)))
	return b
}

// datagram6 returns the same over IPv6.
func datagram6(payload int) []byte {
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 17, 64, 0xfd, 9}, make([]byte, 13)...)
	b = append(append(append(b, 1, 0xfd, 9), make([]byte, 13)...), 2)
	b = append(b, datagram(payload)[34:]...)
	binary.BigEndian.PutUint16(b[18:], uint16(len(b)-54))
	binary.BigEndian.PutUint16(b[60:], vnet.Sum(nil, vnet.PseudoSum(b[22:38], b[38:54], 17, len(b)-54)))
	return b
}

// gather receives n frames of these tests.
func gather(t *testing.T, p vswitch.Port, n int) (frames []vswitch.Frame) {
	t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { p.Close() })
	defer timer.Stop()
	batch := make([]vswitch.Frame, vswitch.BatchSize)
	for len(frames) < n {
		got, err := p.Receive(batch)
		if err != nil {
			t.Errorf("%d frames of %d, and then: %v", len(frames), n, err)
			runtime.Goexit()
		}
		for _, f := range batch[:got] {
			if isOurs(f) {
				frames = append(frames, vswitch.Frame{Offload: f.Offload, Data: bytes.Clone(f.Data)})
			}
		}
	}
	return frames
}

// isOurs selects the frames of these tests among those of the kernel.
func isOurs(f vswitch.Frame) bool {
	return len(f.Data) > 34 && (f.Data[26] == 10 && f.Data[27] == 9 || f.Data[12] == 0x86 && f.Data[22] == 0xfd && f.Data[23] == 9)
}

// A datagram that a guest leaves to be cut into IP fragments arrives, although a packet socket has no virtio-net header for it; and the frames
// that come in between.
func TestDatagramsToBeFragmentedArrive(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		guest, kernel := bothSides(t, true)
		h := vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOUDP, HdrLen: 34, GSOSize: 1480, CsumStart: 34, CsumOffset: 6}
		plain := vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: 34, CsumOffset: 6}
		for i := range 5 {
			guest.Transmit([]vswitch.Frame{{Offload: h, Data: datagram(20000 + i)}, {Offload: plain, Data: datagram(100 + i)}})
		}
		frames := gather(t, kernel, 10)
		for i := range 5 {
			f := frames[2*i]
			want := h
			want.GSOSize = 65528
			if f.Offload != want || !bytes.Equal(f.Data, datagram(20000+i)) {
				t.Fatalf("datagram %d arrives as %d bytes with %+v", i, len(f.Data), f.Offload)
			}
			if f := frames[2*i+1]; !bytes.Equal(f.Data, datagram(100+i)) || f.Offload.Flags != vnet.FlagNeedsChecksum {
				t.Fatalf("the frame behind datagram %d arrives as %d bytes with %+v", i, len(f.Data), f.Offload)
			}
		}
		guest.Transmit([]vswitch.Frame{{Offload: fragments6(1448), Data: datagram6(20000)}})
		if f := gather(t, kernel, 1)[0]; f.Offload != fragments6(65528) || !bytes.Equal(f.Data, datagram6(20000)) {
			t.Fatalf("a datagram over IPv6 arrives as %d bytes with %+v", len(f.Data), f.Offload)
		}
	})
}

// fragments6 is the header of a datagram over IPv6 that is to be cut into fragments.
func fragments6(size uint16) vnet.Header {
	return vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOUDP, HdrLen: 62, GSOSize: size, CsumStart: 54, CsumOffset: 6}
}

// The same over IPv6, whose fragments have a header of their own. The kernel chooses another identification. What a tap's user side writes, the
// kernel does not cut before a packet socket on the kernel side.
func TestDatagramsLeaveInFragmentsOverIPv6(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		for i, ports := range openPairs(t, true) {
			if i == 2 {
				continue
			}
			var byKernel, bySoftware []vswitch.Frame
			for _, from := range []vswitch.Port{ports[0], WithSoftwareOffloads(ports[0], MergeNothing)} {
				from.Transmit([]vswitch.Frame{{Offload: fragments6(1000), Data: datagram6(3000)}})
				byKernel, bySoftware = bySoftware, gather(t, ports[1], 4)
			}
			for i, f := range bySoftware {
				want := byKernel[i].Data
				copy(want[58:62], f.Data[58:])
				if len(f.Data) != 62+min(1000, 3008-1000*i) || !bytes.Equal(f.Data, want) {
					t.Fatalf("fragment %d is\n%x, and that of the kernel\n%x", i, f.Data[:62], want[:62])
				}
			}
		}
	})
}

// A careful port keeps the header of each frame of a batch: to peek at one does not change another.
func TestPeekKeepsHeaders(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		guest, kernel := bothSides(t, true)
		partial := vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: 34, CsumOffset: 6}
		guest.Transmit([]vswitch.Frame{{Offload: partial, Data: datagram(100)}, {Data: datagram(200)}})
		for i, f := range gather(t, kernel, 2) {
			if partly := f.Offload.Flags&vnet.FlagNeedsChecksum != 0; partly != (i != 1) {
				t.Errorf("frame %d has the header %+v", i, f.Offload)
			}
		}
	})
}

// One frame is lost where the port no longer expects such a datagram; the following ones arrive.
func TestDatagramToBeFragmentedMakesCareful(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		guest, kernel := bothSides(t, true)
		packetOf(kernel).careful.Store(0)
		h := vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOUDP, HdrLen: 34, GSOSize: 1480, CsumStart: 34, CsumOffset: 6}
		guest.Transmit([]vswitch.Frame{{Offload: h, Data: datagram(3000)}, {Offload: h, Data: datagram(4000)}})
		if f := receive(t, kernel, isOurs); len(f.Data) != 4042 {
			t.Fatalf("%d bytes arrive", len(f.Data))
		}
		if n := kernel.Counters().Drops()["receive-error"]; n != 1 {
			t.Fatalf("receive-error is %d, want 1", n)
		}
	})
}

// The kernel cuts such a datagram where it leaves, and so does the port of a device without offloads: the same fragments.
func TestDatagramsLeaveInFragments(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		for _, ports := range openPairs(t, true) {
			from, to := ports[0], ports[1]
			h := vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOUDP, HdrLen: 34, GSOSize: 1000, CsumStart: 34, CsumOffset: 6}
			WithSoftwareOffloads(from, MergeNothing).Transmit([]vswitch.Frame{{Offload: h, Data: datagram(3000)}})
			for i, f := range gather(t, to, 4) {
				at := 1000 * i
				if field := binary.BigEndian.Uint16(f.Data[20:]); int(field&0x1fff)*8 != at || len(f.Data) != 34+min(1000, 3008-at) {
					t.Fatalf("a fragment has %d bytes and the field %#x", len(f.Data), field)
				}
			}
		}
	})
}
