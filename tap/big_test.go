package tap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// bigSegments returns a TCP frame whose packet is larger than 64 KiB, with the length field that Linux writes.
func bigSegments(payload int) ([]byte, vnet.Header) {
	b := datagram(12 + payload)
	b[16], b[17], b[23], b[46], b[47] = 0, 0, 6, 0x50, 0x10
	b[24], b[25] = 0, 0
	binary.BigEndian.PutUint16(b[24:], vnet.Checksum(b[14:34], 0))
	h := vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOTCPv4, HdrLen: 54, GSOSize: 1400, CsumStart: 34, CsumOffset: 16}
	return b, h
}

// bigSegments6 returns the same over IPv6, with the hop-by-hop header of a jumbogram (RFC 2675).
func bigSegments6(payload int) ([]byte, vnet.Header) {
	b, h := bigSegments(payload)
	f := overIPv6(vswitch.Frame{Offload: h, Data: b})
	jumbo := binary.BigEndian.AppendUint32([]byte{f.Data[20], 0, 0xc2, 4}, uint32(len(f.Data)-54+8))
	f.Data[18], f.Data[19], f.Data[20] = 0, 0, 0
	f.Data[23] = 9 // isOurs
	f.Offload.CsumStart += 8
	f.Offload.HdrLen += 8
	return append(f.Data[:54:54], append(jumbo, f.Data[54:]...)...), f.Offload
}

// bigPort returns a port at one end of a veth that passes packets of at most size bytes, and a packet socket at the other end.
func bigPort(t *testing.T, size int) (port vswitch.Port, sender int) {
	t.Helper()
	veth(t, "1500")
	for _, name := range []string{"v0", "v1"} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = errors.Join(netlink.LinkSetGSOMaxSize(link, size), netlink.LinkSetGSOIPv4MaxSize(link, size))
		}
		if err != nil {
			t.Skipf("needs Linux 6.3: %v", err)
		}
	}
	port = open(t, Spec{KindPacket, "v1"}, true)
	packetOf(port).careful.Store(0)
	sender, err := openSender("v0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(sender) })
	return port, sender
}

// A node's kernel passes TCP packets above 64 KiB. They arrive in parts of 64 KiB, except the first, and over IPv6 without the header of a
// jumbogram.
func TestBigSegmentsArrive(t *testing.T) {
	for i, family := range bothFamilies {
		t.Run(family.name, func(t *testing.T) {
			inNamespace(t, func(t *testing.T) {
				port, sender := bigPort(t, 200000)
				frame, h := [...]func(int) ([]byte, vnet.Header){bigSegments, bigSegments6}[i](180000)
				header := make([]byte, vnet.Size)
				h.Encode(header)
				send := func(header, frame []byte) {
					if _, err := unix.Writev(sender, [][]byte{header, frame}); err != nil {
						t.Fatal(err)
					}
				}
				send(header, frame) // is lost
				send(make([]byte, vnet.Size), datagram(20))
				gather(t, port, 1)
				send(header, frame)
				gatherParts(t, port, family.transport, h.GSOSize, frame[h.CsumStart:])
				if n := port.Counters().Drops()[vswitch.Truncated.String()]; n != 1 {
					t.Errorf("%d frames truncated, want the first", n)
				}
			})
		})
	}
}

// gatherParts receives the parts of a TCP segment. Their transport header is at an offset, and they are to be cut into pieces of size.
func gatherParts(t *testing.T, port vswitch.Port, transport int, size uint16, segment []byte) {
	t.Helper()
	var got []byte
	for len(got) < len(segment)-20 {
		for _, f := range gather(t, port, 1) {
			if len(f.Data) > vnet.MaxPart || !vnet.Check(&f.Offload, f.Data) || f.Offload.GSOSize != size || int(f.Offload.CsumStart) != transport {
				t.Fatalf("a part of %d bytes has the header %+v", len(f.Data), f.Offload)
			}
			if binary.BigEndian.Uint32(f.Data[transport+4:]) != binary.BigEndian.Uint32(segment[4:])+uint32(len(got)) {
				t.Fatalf("the part behind %d bytes has another sequence number", len(got))
			}
			got = append(got, f.Data[transport+20:]...)
		}
	}
	if !bytes.Equal(got, segment[20:]) {
		t.Error("the payload is another one")
	}
}

// TestPartsFillABatch sends large frames whose parts are little more than 32 KiB each, and a small one behind them: what does not fit
// into the batch is dropped, and the port works on.
func TestPartsFillABatch(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		port, sender := bigPort(t, 1<<19-8)
		if err := unix.SetsockoptInt(sender, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20); err != nil {
			t.Fatal(err)
		}
		frame, h := bigSegments(500000)
		h.GSOSize = 1<<15 + 1
		header, small := make([]byte, vnet.Size), make([]byte, vnet.Size)
		h.Encode(header)
		send := func(header, frame []byte) {
			if _, err := unix.Writev(sender, [][]byte{header, frame}); err != nil {
				t.Fatal(err)
			}
		}
		send(header, frame) // is lost, and the port expects others
		send(small, datagram(20))
		gather(t, port, 1)
		queued(port)
		send(header, frame)
		send(header, frame)
		send(small, datagram(20))
		for n := 0; n < 3; {
			n += queued(port)
		}
		gather(t, port, vswitch.BatchSize)
		send(small, datagram(20))
		for len(gather(t, port, 1)[0].Data) > 100 { // a part of the second frame
		}
	})
}

// queued returns how many frames the kernel has queued for a port since the last call (packet(7), PACKET_STATISTICS).
func queued(p vswitch.Port) (n int) {
	packetOf(p).Descriptor.Transmit(func(fd uintptr) {
		if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			n = int(stats.Packets)
		}
	})
	return n
}
