// Pump is the least that any userspace switch must do: a blocking read from one device and a write to the other, for a tap
// and a packet socket with virtio-net headers, one goroutine a direction, and nothing else. It is what podswitch is measured
// against.
//
//	pump TAP DEVICE
package main

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	if err := pump(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "pump:", err)
		os.Exit(1)
	}
}

func pump(tapName, device string) error {
	tap, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	request, err := unix.NewIfreq(tapName)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(tap, unix.TUNSETIFF, request); err != nil {
		return err
	}
	offloads := unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	if err := unix.IoctlSetInt(tap, unix.TUNSETOFFLOAD, offloads); err != nil {
		return err
	}
	packet, err := openPacket(device)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "ready")
	done := make(chan error)
	go func() { done <- copyFrames(packet, tap) }()
	go func() { done <- copyFrames(tap, packet) }()
	return <-done
}

func openPacket(device string) (int, error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	for _, option := range []int{unix.PACKET_VNET_HDR, unix.PACKET_IGNORE_OUTGOING} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option, 1); err != nil {
			return 0, err
		}
	}
	promiscuous := unix.PacketMreq{Ifindex: int32(link.Index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &promiscuous); err != nil {
		return 0, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: link.Index}) // ETH_P_ALL in network byte order
}

// copyFrames ends at the first read error; what cannot be written is lost.
func copyFrames(to, from int) error {
	frame := make([]byte, 10+14+4+65535)
	for {
		n, err := unix.Read(from, frame)
		if err != nil {
			return err
		}
		_, _ = unix.Write(to, frame[:n])
	}
}
