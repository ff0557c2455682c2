package tap

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// packetBuffer is the size in bytes of the socket's receive and send buffers: about sixty of the largest segments.
const packetBuffer = 4 << 20

// openPacket opens a packet socket on a device. It receives the frames that o selects.
func openPacket(name string, o Options) (fd int, err error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return -1, &missing.Error{What: "open a packet socket on " + name, Need: "the device " + name,
			Give: "create it or name another device", Err: err}
	}
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EPERM) {
		return -1, &missing.Error{What: "open a packet socket on " + name, Need: "CAP_NET_RAW", Give: missing.GiveCapability("NET_RAW"), Err: err}
	}
	if err != nil {
		return -1, fmt.Errorf("open a packet socket on %s: %w", name, os.NewSyscallError("socket", err))
	}
	if err := configurePacket(fd, link.Index, o); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("open a packet socket on %s: %w", name, err)
	}
	return fd, nil
}

// configurePacket sets the options of a packet socket (packet(7)) and then binds it. The order matters: frames arrive from the bind on, and
// each must have its virtio-net header.
func configurePacket(fd, index int, o Options) error {
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	dropControls(fd)
	for _, option := range []struct {
		name string
		id   int
		need string
	}{
		{"PACKET_VNET_HDR", unix.PACKET_VNET_HDR, "Linux 2.6.27"},
		{"PACKET_AUXDATA", unix.PACKET_AUXDATA, "Linux 2.6.21"},
		{"PACKET_IGNORE_OUTGOING", unix.PACKET_IGNORE_OUTGOING, "Linux 4.20"},
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option.id, 1); err != nil {
			return &missing.Error{What: "set " + option.name, Need: option.need, Err: err}
		}
	}
	if err := filter(fd, o); err != nil {
		return err
	}
	membership := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if o.OwnFrames {
		membership.Type = unix.PACKET_MR_ALLMULTI // groups that the guest joins, and the device does not
	}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &membership); err != nil {
		return os.NewSyscallError("PACKET_ADD_MEMBERSHIP", err)
	}
	all := uint16(unix.ETH_P_ALL)
	err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: index}) // in network byte order (packet(7))
	if err != nil {
		return os.NewSyscallError("bind", err)
	}
	return checkEthernet(fd)
}

// checkEthernet returns an error unless the socket's device is an Ethernet device. Frames of other devices have no Ethernet header.
func checkEthernet(fd int) error {
	address, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	link, ok := address.(*unix.SockaddrLinklayer)
	switch {
	case ok && link.Hatype == 0: // the device was removed after that
		return os.NewSyscallError("getsockname", unix.ENODEV)
	case !ok || link.Hatype != unix.ARPHRD_ETHER:
		return &missing.Error{What: "switch the frames of a device without Ethernet headers", Need: "an Ethernet device", Give: "name another device"}
	}
	return nil
}

// dropControls disables the control messages that the opener of an inherited socket may have requested: they would come before
// PACKET_AUXDATA, in a buffer that has room for that one only.
func dropControls(fd int) {
	for _, option := range []int{unix.SO_TIMESTAMP, unix.SO_TIMESTAMPING, unix.SO_RXQ_OVFL, unix.SO_RCVMARK, unix.SO_RCVPRIORITY} {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 0) // a kernel that does not know the option sends no such message
	}
}

// setBuffer sets the size of a socket buffer: beyond the system's limit with CAP_NET_ADMIN, otherwise up to the limit (socket(7)).
func setBuffer(fd, force, normal int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, packetBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, normal, packetBuffer) // the kernel's default size works too
	}
}
