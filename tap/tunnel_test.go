package tap

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// The tap of a hypervisor that offers segmentation of tunnels to its guest (linux/if_tun.h, Linux 6.17; linux/virtio_net.h).
const (
	tunTunnel     = 0x80 | 0x100 // TUN_F_UDP_TUNNEL_GSO, TUN_F_UDP_TUNNEL_GSO_CSUM
	tunnelHdrLen  = 24           // struct virtio_net_hdr_v1_hash_tunnel
	outerStartsAt = 20           // in that header: the offset of the outer transport header
	innerStartsAt = 22           // the offset of the inner IP header
)

// openTunnelTap opens a tap as such a hypervisor does. It skips the test on a kernel without these offloads.
func openTunnelTap(t *testing.T, name string) int {
	t.Helper()
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	if err := attachQueue(fd, name, unix.IFF_TAP|unix.IFF_NO_PI|unix.IFF_VNET_HDR); err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, tunnelHdrLen); err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tunOffloads|tunUSO|tunTunnel); err != nil {
		t.Skipf("needs Linux 6.17: %v", err)
	}
	ip(t, "link set "+name+" up")
	return fd
}

// vxlanSegments returns a frame to segment in VXLAN, without an outer UDP checksum, and the header that a packet socket has for it.
func vxlanSegments(payload int) (vnet.Header, []byte) {
	inner, h := bigSegments(payload)
	binary.BigEndian.PutUint16(inner[16:], uint16(len(inner)-14))
	inner[24], inner[25] = 0, 0
	binary.BigEndian.PutUint16(inner[24:], vnet.Checksum(inner[14:34], 0))
	binary.BigEndian.PutUint16(inner[50:], vnet.Sum(nil, vnet.PseudoSum(inner[26:30], inner[30:34], unix.IPPROTO_TCP, len(inner)-34)))
	frame := datagram(8 + len(inner))
	copy(frame[42:], []byte{8, 0, 0, 0, 0, 0, 7, 0})
	copy(frame[50:], inner)
	binary.BigEndian.PutUint16(frame[36:], 4789)
	frame[40], frame[41] = 0, 0
	h.HdrLen, h.CsumStart = 104, 84
	return h, frame
}

// writeTunnel writes a frame as a hypervisor does.
func writeTunnel(t *testing.T, fd int, h vnet.Header, frame []byte) {
	t.Helper()
	header := make([]byte, tunnelHdrLen)
	h.GSOType |= vnet.GSOTunnelIPv4
	h.Encode(header)
	binary.LittleEndian.PutUint16(header[outerStartsAt:], 34)
	binary.LittleEndian.PutUint16(header[innerStartsAt:], 64)
	if binary.BigEndian.Uint16(frame[40:]) != 0 {
		header[0] |= 8 // VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM
	}
	if _, err := unix.Writev(fd, [][]byte{header, frame}); err != nil {
		t.Errorf("write segments of a tunnel: %v", err)
		runtime.Goexit()
	}
}

// pieces returns the segments of a frame.
func pieces(t *testing.T, h vnet.Header, frame []byte) (list []vswitch.Frame) {
	t.Helper()
	if !vnet.Check(&h, frame) {
		t.Errorf("%+v is rejected", h)
		runtime.Goexit()
	}
	return cutUp(vswitch.Frame{Offload: h, Data: frame})
}

// A guest's segments of a tunnel arrive at the packet socket of its tap, and leave as segments at every kind of port, in software, because no
// header of a port can describe them.
func TestSegmentsOfTunnels(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		guest := openTunnelTap(t, "tap8")
		kernel := open(t, Spec{KindPacket, "tap8"}, true)
		h, frame := vxlanSegments(60000)
		want := pieces(t, h, frame)
		for _, pair := range openPairs(t, true) {
			writeTunnel(t, guest, h, frame)
			f := receive(t, kernel, isOurs)
			if !vnet.Check(&f.Offload, f.Data) || f.Offload.GSOType != vnet.GSOTCPv4|vnet.GSOTunnelIPv4 || !bytes.Equal(f.Data, frame) {
				t.Fatalf("%d bytes arrive with %+v", len(f.Data), f.Offload)
			}
			pair[0].Transmit([]vswitch.Frame{f})
			if got := gather(t, pair[1], len(want)); !slices.EqualFunc(got, want, sameData) {
				t.Fatalf("%d other segments leave", len(got))
			}
			if sent := pair[0].Counters().TxFrames.Load(); sent != uint64(len(want)) || len(pair[0].Counters().Drops()) > 0 {
				t.Fatalf("%d segments sent, want %d; drops %v", sent, len(want), pair[0].Counters().Drops())
			}
		}
	})
}

func sameData(a, b vswitch.Frame) bool { return bytes.Equal(a.Data, b.Data) }

// A tap of this package gets no segments of a tunnel, even if its former user accepted them: the kernel cuts them, as package vnet does, with and
// without an outer checksum.
func TestTapGetsNoSegmentsOfTunnels(t *testing.T) {
	for _, test := range []struct {
		name string
		open func(t *testing.T) vswitch.Port
	}{
		{"a new tap", func(t *testing.T) vswitch.Port { return open(t, Spec{KindTap, "tap9"}, true) }},
		{"a tap without offloads", func(t *testing.T) vswitch.Port { return open(t, Spec{KindTap, "tap9"}, false) }},
		{"a tap of a hypervisor", func(t *testing.T) vswitch.Port {
			fd := openTunnelTap(t, "tap9")
			if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
			return open(t, Spec{KindTap, "tap9"}, true)
		}},
		{"an inherited tap", func(t *testing.T) vswitch.Port {
			fd, err := unix.FcntlInt(uintptr(openTunnelTap(t, "tap9")), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			d, err := InheritDevice(fd, Options{Offload: true})
			if err != nil {
				t.Fatal(err)
			}
			d.Merge = MergeNothing
			p, err := d.Port(new(vswitch.Counters))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Close() })
			return p
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inNamespace(t, func(t *testing.T) {
				guest := openTunnelTap(t, "tap8")
				p := test.open(t)
				ip(t, "link add br0 type bridge mcast_snooping 0")
				for _, name := range []string{"tap8", "tap9"} {
					ip(t, "link set "+name+" master br0 up")
				}
				ip(t, "link set br0 up")
				for _, sum := range []uint16{0, 1} {
					h, frame := vxlanSegments(20000)
					if sum > 0 {
						binary.BigEndian.PutUint16(frame[40:], vnet.Sum(nil, vnet.PseudoSum(frame[26:30], frame[30:34], unix.IPPROTO_UDP, len(frame)-34)))
					}
					want := pieces(t, h, frame)
					writeTunnel(t, guest, h, frame)
					for i, f := range gather(t, p, len(want)) {
						if h := f.Offload; h.GSOType != vnet.GSONone || !vnet.Check(&h, f.Data) {
							t.Fatalf("segment %d arrives with %+v", i, f.Offload)
						}
						vnet.Complete(f.Offload, f.Data)
						if !bytes.Equal(f.Data, want[i].Data) {
							t.Fatalf("segment %d arrives as\n%x, want\n%x", i, f.Data[:104], want[i].Data[:104])
						}
					}
				}
			})
		})
	}
}

// A node's VXLAN device leaves segments of its tunnel to a device that says that it cuts them, as a veth does: they arrive at the other end.
func TestSegmentsOfVXLANArrive(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		port := open(t, Spec{KindPacket, "v1"}, true)
		ip(t, "address add 10.9.0.1/24 dev v0")
		ip(t, "neighbour add 10.9.0.2 lladdr 02:00:00:00:00:09 dev v0")
		ip(t, "link add vx0 type vxlan id 7 remote 10.9.0.2 dstport 4789 dev v0")
		ip(t, "link set vx0 up")
		sender, err := openSender("vx0")
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(sender)
		h, frame := vxlanSegments(20000)
		inner := frame[50:]
		h.CsumStart, h.HdrLen = 34, 54
		header := make([]byte, vnet.Size)
		h.Encode(header)
		if _, err := unix.Writev(sender, [][]byte{header, inner}); err != nil {
			t.Fatal(err)
		}
		f := receive(t, port, func(f vswitch.Frame) bool { return isOurs(f) && len(f.Data) > 1000 })
		if !vnet.Check(&f.Offload, f.Data) || f.Offload.GSOType != vnet.GSOTCPv4|vnet.GSOTunnelIPv4 || !bytes.HasSuffix(f.Data, inner) {
			t.Fatalf("%d bytes arrive with %+v", len(f.Data), f.Offload)
		}
	})
}

// Packets that a device of the node has merged without their checksums being undone (rx-gro-list of ethtool) arrive as frames to segment.
func TestFragmentListsArrive(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		ip(t, "link add v2 type veth peer name v3")
		ip(t, "link add br0 type bridge mcast_snooping 0")
		for _, name := range []string{"v1", "v2"} {
			ip(t, "link set "+name+" master br0 up")
		}
		ip(t, "link set v3 up")
		ip(t, "link set br0 up")
		port := open(t, Spec{KindPacket, "v3"}, true)
		mergeLists(t, "v1")
		from := WithSoftwareOffloads(open(t, Spec{KindPacket, "v0"}, true), MergeNothing)
		udp := udpFrame(3, 1200, 1)
		tcp, h := bigSegments(4200)
		binary.BigEndian.PutUint16(tcp[16:], uint16(len(tcp)-14))
		tcp[24], tcp[25] = 0, 0
		binary.BigEndian.PutUint16(tcp[24:], vnet.Checksum(tcp[14:34], 0))
		for _, sent := range []vswitch.Frame{udp, {Offload: h, Data: tcp}} {
			from.Transmit([]vswitch.Frame{sent})
			source := sent.Data[26:30]
			f := receive(t, packetOf(port), func(f vswitch.Frame) bool { return len(f.Data) > 34 && bytes.Equal(f.Data[26:30], source) })
			if f.Offload.GSOType != sent.Offload.GSOType || !vnet.Check(&f.Offload, f.Data) {
				t.Fatalf("%d bytes of %d arrive with %+v", len(f.Data), len(sent.Data), f.Offload)
			}
			if !slices.EqualFunc(cutUp(f), cutUp(sent), sameData) {
				t.Fatal("other segments arrive")
			}
		}
	})
}

// mergeLists makes a device merge received packets as lists, and wait a moment for more of them.
func mergeLists(t *testing.T, device string) {
	t.Helper()
	for _, command := range []string{
		"ethtool -K " + device + " gro on rx-gro-list on",
		"mount -t sysfs none /sys && cd /sys/class/net/" + device + " && echo 200000000 > gro_flush_timeout && echo 10 > napi_defer_hard_irqs",
	} {
		if out, err := exec.Command("unshare", "-m", "sh", "-c", command).CombinedOutput(); err != nil {
			t.Skipf("needs ethtool and Linux 5.6: %s: %v: %s", command, err, out)
		}
	}
}
