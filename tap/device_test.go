package tap

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// TestPair sends frames of every size through each pair of ports, with offloads and without: tap to packet socket on the
// tap's kernel side, and packet socket to packet socket over a veth pair.
func TestPair(t *testing.T) {
	for _, offload := range []bool{true, false} {
		inNamespace(t, func(t *testing.T) {
			veth(t, "9000")
			device := open(t, Spec{KindTap, "tap9"}, offload)
			ip(t, "link set tap9 mtu 9000")
			ip(t, "link set tap9 up")
			kernel := open(t, Spec{KindPacket, "tap9"}, offload)
			a, b := open(t, Spec{KindPacket, "v0"}, offload), open(t, Spec{KindPacket, "v1"}, offload)
			for _, pair := range [][2]vswitch.Port{{a, b}, {b, a}, {device, kernel}, {kernel, device}} {
				for _, size := range []int{14, 15, 60, 1500, 9014} {
					passes(t, pair[0], pair[1], size)
				}
			}
		})
	}
}

func passes(t *testing.T, from, to vswitch.Port, size int) {
	t.Helper()
	data := bytes.Repeat([]byte{byte(size)}, size)
	copy(data, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5})
	from.Transmit([]vswitch.Frame{{Data: data}})
	if drops := from.Counters().Drops(); len(drops) > 0 {
		t.Fatalf("%d bytes: %v", size, drops)
	}
	f := receive(t, to, func(f vswitch.Frame) bool { return f.Data[12] == 0x88 && f.Data[13] == 0xb5 })
	if !bytes.Equal(f.Data, data) {
		t.Errorf("%d bytes arrive as %d", size, len(f.Data))
	}
}

// TestSegment sends a segment of 60000 bytes of each family: with offloads it arrives whole, with its header; a port without offloads cuts it.
func TestSegment(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		device, kernel := bothSides(t, true)
		veth(t, "1500")
		cutting, whole := open(t, Spec{KindPacket, "v0"}, false), open(t, Spec{KindPacket, "v1"}, true)
		for _, family := range bothFamilies {
			large := tcpFrame(60000)
			large.Offload.GSOType, large.Offload.GSOSize, large.Offload.HdrLen = vnet.GSOTCPv4, 1400, 54
			large = family.of(large)
			isTCP := func(f vswitch.Frame) bool {
				return len(f.Data) > 74 && bytes.Equal(f.Data[:15], large.Data[:15]) && f.Data[23] == large.Data[23]
			}
			for _, pair := range [][2]vswitch.Port{{device, kernel}, {kernel, device}, {whole, cutting}} {
				pair[0].Transmit([]vswitch.Frame{large})
				f := receive(t, pair[1], isTCP)
				if len(f.Data) != len(large.Data) || f.Offload.GSOType != large.Offload.GSOType || f.Offload.GSOSize != 1400 {
					t.Errorf("%s: arrives as %d bytes with %+v", family.name, len(f.Data), f.Offload)
				}
			}
			cutting.Transmit([]vswitch.Frame{large})
			if f := receive(t, whole, isTCP); len(f.Data) != family.transport+1420 || f.Offload.GSOType != vnet.GSONone {
				t.Errorf("%s: without offloads it arrives as %d bytes with %+v", family.name, len(f.Data), f.Offload)
			}
		}
	})
}

// TestTag: a packet socket restores the VLAN tag that the kernel removes from a received frame.
func TestTag(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		a, b := open(t, Spec{KindPacket, "v0"}, true), open(t, Spec{KindPacket, "v1"}, true)
		data := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0x00, 0x60, 0x05, 0x88, 0xb5}, make([]byte, 42)...)
		a.Transmit([]vswitch.Frame{{Data: data}})
		f := receive(t, b, func(f vswitch.Frame) bool { return len(f.Data) == len(data) })
		if !bytes.Equal(f.Data, data) {
			t.Errorf("arrives as % x", f.Data)
		}
	})
}

// TestRefused: a packet socket counts each frame that the kernel refuses under its reason, and transmits the others.
func TestRefused(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		a, b := open(t, Spec{KindPacket, "v0"}, true), open(t, Spec{KindPacket, "v1"}, true)
		small := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, make([]byte, 46)...)
		a.Transmit([]vswitch.Frame{
			{Data: make([]byte, 4000)}, // no segments to cut, and larger than the MTU
			{Data: small, Offload: vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: 65000, CsumOffset: 16}},
			{Data: small},
		})
		receive(t, b, func(f vswitch.Frame) bool { return bytes.Equal(f.Data, small) })
		drops := a.Counters().Drops()
		if drops["too-big"] != 1 || drops["transmit-error"] != 1 || a.Counters().TxFrames.Load() != 1 {
			t.Errorf("drops %v, %d sent", drops, a.Counters().TxFrames.Load())
		}
	})
}

// sizes notes the lengths of refused frames.
type sizes []int

func (s *sizes) TooBig(frame []byte) { *s = append(*s, len(frame)) }
func (s *sizes) UnknownOffload()     {}

// TestTooBig: a packet socket reports the frames above an MTU that was lowered.
func TestTooBig(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		d, err := OpenDevice(Spec{KindPacket, "v0"}, Options{Offload: true})
		if err != nil {
			t.Fatal(err)
		}
		var refused sizes
		d.Events = &refused
		p, err := d.Port(new(vswitch.Counters))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		p.Transmit([]vswitch.Frame{{Data: make([]byte, 1514)}})
		if err := setMTU("v0", 1400); err != nil {
			t.Fatal(err)
		}
		p.Transmit([]vswitch.Frame{{Data: make([]byte, 1414)}, {Data: make([]byte, 1514)}, {Data: make([]byte, 60)}})
		if !slices.Equal(refused, sizes{1514}) || p.Counters().TxFrames.Load() != 3 {
			t.Errorf("refused %v, %d sent", refused, p.Counters().TxFrames.Load())
		}
	})
}

// unspeakable is a frame that the kernel accepts from a tap, and whose offloads it cannot describe to a packet socket.
func unspeakable() vswitch.Frame {
	const gsoUDP = 3 // VIRTIO_NET_HDR_GSO_UDP
	f := tcpFrame(8000)
	f.Data[23] = 17
	f.Offload = vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: gsoUDP, GSOSize: 1400, HdrLen: 42, CsumStart: 34, CsumOffset: 6}
	return f
}

// TestUnspeakable: a frame whose offloads no virtio-net header can describe is one counted drop. The kernel answers EINVAL to the receive,
// and the next frame arrives.
func TestUnspeakable(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		device, kernel := bothSides(t, true)
		after := tcpFrame(100)
		device.Transmit([]vswitch.Frame{unspeakable(), after})
		receive(t, kernel, func(f vswitch.Frame) bool { return len(f.Data) == len(after.Data) })
		if drops := kernel.Counters().Drops(); drops["receive-error"] != 1 {
			t.Errorf("drops %v", drops)
		}
	})
}

// TestReceiveFull: frames that the kernel drops because the queue is full are counted, and so are discarded ones.
func TestReceiveFull(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		a, b := open(t, Spec{KindPacket, "v0"}, true), open(t, Spec{KindPacket, "v1"}, true)
		batch := make([]vswitch.Frame, 32)
		for i := range batch {
			batch[i].Data = append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, make([]byte, 1400)...)
		}
		for range 1000 {
			a.Transmit(batch)
		}
		b.(discarder).Discard(vswitch.NotHolder)
		drops, sent := b.Counters().Drops(), a.Counters().TxFrames.Load()
		if drops["receive-full"] == 0 || drops["not-holder"] == 0 || drops["receive-full"]+drops["not-holder"] < sent {
			t.Errorf("%d sent, drops %v", sent, drops)
		}
	})
}

// TestLost: after a device is deleted, Receive returns the queued frames and then an error; after Close it returns net.ErrClosed.
func TestLost(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		device, veth := open(t, Spec{KindTap, "tap9"}, true), open(t, Spec{KindPacket, "v0"}, true)
		kept := open(t, Spec{KindTap, "tap8"}, false)
		ip(t, "link del tap9")
		ip(t, "link del v0")
		batch := make([]vswitch.Frame, 1)
		for _, test := range []struct {
			port   vswitch.Port
			errnos []error
		}{{device, []error{unix.EBADFD}}, {veth, []error{unix.ENETDOWN, unix.ENXIO}}} {
			_, err := collect(test.port, -1)
			if is := func(errno error) bool { return errors.Is(err, errno) }; !slices.ContainsFunc(test.errnos, is) {
				t.Errorf("Receive on a lost device: %v; want one of %v", err, test.errnos)
			}
		}
		if err := errors.Join(kept.Close(), kept.Close()); err != nil {
			t.Errorf("Close twice: %v", err)
		}
		if _, err := kept.Receive(batch); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Receive after Close: %v", err)
		}
	})
}

// TestPersistent: a persistent tap stays after each way of opening it, and has offloads again after it was opened without them.
func TestPersistent(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		ip(t, "tuntap add mode tap tap9")
		for _, offload := range []bool{true, false, true} {
			p := open(t, Spec{KindTap, "tap9"}, offload)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		ip(t, "link show tap9")
		ip(t, "tuntap add mode tap multi_queue tap8")
		open(t, Spec{KindTap, "tap8"}, true)
	})
}

// TestMissing: the error names the device that does not exist or that another process has open.
func TestMissing(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		open(t, Spec{KindTap, "tap9"}, true)
		ip(t, "link add v0 type veth peer name v1")
		for spec, want := range map[Spec]string{
			{KindTap, "tap9"}:   "packet:tap9",
			{KindPacket, "nix"}: "nix",
			{KindPacket, "lo"}:  "Ethernet",
			{KindTap, "v0"}:     "packet:v0",
		} {
			for _, offload := range []bool{true, false} {
				_, err := OpenDevice(spec, Options{Offload: offload})
				var lacks *missing.Error
				if !errors.As(err, &lacks) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v", spec, err)
				}
			}
		}
	})
}
