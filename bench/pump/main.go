// Pump is a minimal userspace switch, as the baseline for podswitch: in one goroutine for each direction, it reads frames from a
// device with a blocking read and writes them to the other. The devices are a tap and a packet socket with virtio-net headers.
//
//	pump TAP DEVICE [plain]
//
// With plain, there are no virtio-net headers, so that the kernel computes checksums and segments. It is the baseline for a guest
// without offloads.
package main

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	headers := len(os.Args) < 4 || os.Args[3] != "plain"
	tap, packet := openTap(os.Args[1], headers), openPacket(os.Args[2], headers)
	fmt.Fprintln(os.Stderr, "ready")
	go copyFrames(packet, tap)
	copyFrames(tap, packet)
}

func openTap(name string, headers bool) int {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(err)
	request, err := unix.NewIfreq(name)
	must(err)
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if headers {
		flags |= unix.IFF_VNET_HDR
	}
	request.SetUint16(flags)
	must(unix.IoctlIfreq(fd, unix.TUNSETIFF, request))
	if !headers {
		return fd
	}
	must(unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6|unix.TUN_F_TSO_ECN))
	return fd
}

func openPacket(device string, headers bool) int {
	link, err := net.InterfaceByName(device)
	must(err)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(err)
	if headers {
		must(unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
	}
	must(unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
	must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)) // as podswitch sets it
	must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20))
	promiscuous := unix.PacketMreq{Ifindex: int32(link.Index), Type: unix.PACKET_MR_PROMISC}
	must(unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &promiscuous))
	must(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: link.Index})) // ETH_P_ALL in network byte order
	return fd
}

// copyFrames exits at the first read error. A frame that cannot be written is lost.
func copyFrames(to, from int) {
	frame := make([]byte, 10+14+4+65535)
	for {
		n, err := unix.Read(from, frame)
		must(err)
		_, _ = unix.Write(to, frame[:n])
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "pump:", err)
		os.Exit(1)
	}
}
