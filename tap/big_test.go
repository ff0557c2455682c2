package tap

import (
	"bytes"
	"encoding/binary"
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

// bigPort returns a port at one end of a veth that passes packets of at most size bytes, and a packet socket at the other end.
func bigPort(t *testing.T, size int) (port vswitch.Port, sender int) {
	t.Helper()
	veth(t, "1500")
	for _, name := range []string{"v0", "v1"} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetGSOIPv4MaxSize(link, size)
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

// A node's kernel passes TCP packets above 64 KiB. They arrive in parts of 64 KiB, except the first.
func TestBigSegmentsArrive(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		port, sender := bigPort(t, 200000)
		const payload = 180000
		frame, h := bigSegments(payload)
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
		var got []byte
		for len(got) < payload {
			for _, f := range gather(t, port, 1) {
				if len(f.Data) > vnet.MaxPart || !vnet.Check(&f.Offload, f.Data) || f.Offload.GSOSize != h.GSOSize {
					t.Fatalf("a part of %d bytes has the header %+v", len(f.Data), f.Offload)
				}
				if binary.BigEndian.Uint32(f.Data[38:]) != binary.BigEndian.Uint32(frame[38:])+uint32(len(got)) {
					t.Fatalf("the part behind %d bytes has another sequence number", len(got))
				}
				got = append(got, f.Data[54:]...)
			}
		}
		if !bytes.Equal(got, frame[54:]) {
			t.Error("the payload is another one")
		}
		if n := port.Counters().Drops()[vswitch.Truncated.String()]; n != 1 {
			t.Errorf("%d frames truncated, want the first", n)
		}
	})
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
