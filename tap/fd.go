package tap

import (
	"fmt"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/vnet"
)

// InheritDevice makes a Device of a descriptor that the parent process has opened: the user side of a tap, or a packet socket that is
// bound to a device. It asks the kernel which of them the descriptor is. It sets the offloads of a tap according to o and removes a
// filter that its opener has attached; a tap without virtio-net headers becomes a Device without offloads. o.MTU is ignored.
//
// The error is a *missing.Error that names the type of the descriptor if it is neither. The descriptor then stays open and unchanged,
// because this process may use it for something else. Otherwise the Device owns it, and a later error closes it.
func InheritDevice(fd int, o Options) (Device, error) {
	d := Device{FD: fd, Name: fmt.Sprintf("fd:%d", fd), HeaderLen: vnet.Size, Offload: o.Offload, Merge: MergeSegments}
	configure, err := d.recognise()
	if err != nil {
		return Device{FD: -1}, err
	}
	unix.CloseOnExec(fd)
	d.Link = d.findLink()
	if err := configure(); err != nil {
		unix.Close(fd)
		return Device{FD: -1}, fmt.Errorf("use %s: %w", d.Name, err)
	}
	return d, nil
}

// recognise sets d.Kind from what the kernel says about the descriptor, without changing the descriptor, and returns the function that
// configures it.
func (d *Device) recognise() (configure func() error, err error) {
	request, err := unix.NewIfreq("")
	if err != nil {
		return nil, err
	}
	if unix.IoctlIfreq(d.FD, unix.TUNGETIFF, request) == nil {
		flags := request.Uint16()
		d.Kind = KindTap
		if flags&unix.IFF_VNET_HDR == 0 {
			d.HeaderLen, d.Offload = 0, false
		}
		return d.configureTap, checkTap(d.FD, flags)
	}
	if domain, err := unix.GetsockoptInt(d.FD, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || domain != unix.AF_PACKET {
		return nil, unfit(d.FD, describe(d.FD), "a tap, a packet socket bound to a device, or a unix socket")
	}
	d.Kind = KindPacket
	index, err := checkPacket(d.FD)
	return func() error { return configurePacket(d.FD, index, Options{}) }, err
}

// findLink returns the name of the descriptor's device, or the empty string if it is in another network namespace, or if the kernel says neither of them: it
// tells the namespace of a tap from Linux 5.4 on, and both to a process with CAP_NET_ADMIN only.
func (d *Device) findLink() string {
	if d.Kind == KindTap {
		request, err := unix.NewIfreq("")
		if err != nil || !inOwnNamespace(d.FD, unix.TUNGETDEVNETNS) || unix.IoctlIfreq(d.FD, unix.TUNGETIFF, request) != nil {
			return ""
		}
		return request.Name()
	}
	index, err := checkPacket(d.FD)
	if err != nil || !inOwnNamespace(d.FD, unix.SIOCGSKNS) {
		return ""
	}
	link, err := net.InterfaceByIndex(index)
	if err != nil {
		return ""
	}
	return link.Name
}

// inOwnNamespace reports whether the network namespace that an ioctl of the descriptor opens is that of the calling thread.
func inOwnNamespace(fd int, request uint) bool {
	namespace, err := unix.IoctlRetInt(fd, request)
	if err != nil {
		return false
	}
	defer unix.Close(namespace)
	var its, own unix.Stat_t
	return unix.Fstat(namespace, &its) == nil && unix.Stat("/proc/thread-self/ns/net", &own) == nil && its.Dev == own.Dev && its.Ino == own.Ino
}

func (d *Device) configureTap() error {
	offloads := 0
	if d.Offload {
		offloads = tunOffloads
	}
	return configureTun(d.FD, d.HeaderLen, offloads)
}

// unfit returns an error that says what the descriptor is and what is wanted.
func unfit(fd int, is, want string) error {
	return &missing.Error{What: fmt.Sprintf("use fd:%d, which is %s", fd, is), Need: want}
}

// describe names the type of a descriptor that is neither a tap nor a packet socket, from fstat(2).
func describe(fd int) string {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return "not open"
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a file"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFIFO:
		return "a pipe"
	case unix.S_IFBLK:
		return "a block device"
	case unix.S_IFCHR:
		return "a character device but not a tap"
	case unix.S_IFSOCK:
		return describeSocket(fd)
	}
	return "neither a file nor a socket"
}

func describeSocket(fd int) string {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return "a socket of unknown type"
	}
	protocol, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL) // 0 on error
	inet := domain == unix.AF_INET || domain == unix.AF_INET6
	switch {
	case inet && protocol == unix.IPPROTO_TCP:
		return "a TCP socket"
	case inet && protocol == unix.IPPROTO_UDP:
		return "a UDP socket"
	case domain == unix.AF_UNIX:
		return "a unix socket and not a device"
	}
	return fmt.Sprintf("a socket of family %d and protocol %d", domain, protocol)
}

// checkTap returns an error if a tap with these flags (linux/if_tun.h) does not transfer plain Ethernet frames.
func checkTap(fd int, flags uint16) error {
	switch {
	case flags&unix.IFF_TAP == 0:
		return unfit(fd, "a tun and transfers no Ethernet headers", "a tap")
	case withPacketInfo(fd):
		return unfit(fd, "a tap with packet information", "a tap with IFF_NO_PI")
	}
	return nil
}

// withPacketInfo reports whether the tap puts four bytes of packet information before each frame. TUNGETIFF answers with one bit for
// two facts: IFF_NO_PI and IFF_NOFILTER of linux/if_tun.h have the same value. Therefore withPacketInfo reads the bit while a filter is
// attached, which accepts every frame.
func withPacketInfo(fd int) bool {
	hidden := func() bool {
		request, err := unix.NewIfreq("")
		return err != nil || unix.IoctlIfreq(fd, unix.TUNGETIFF, request) != nil || request.Uint16()&unix.IFF_NO_PI != 0
	}
	if !hidden() {
		return true
	}
	filter := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1} // accept the whole frame
	program := unix.SockFprog{Len: 1, Filter: &filter}
	if _, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNATTACHFILTER, uintptr(unsafe.Pointer(&program))); err != 0 {
		return false
	}
	with := !hidden()
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNDETACHFILTER, uintptr(unsafe.Pointer(&program)))
	return with
}

// checkPacket returns the index of the device to which a packet socket is bound (packet(7)).
func checkPacket(fd int) (index int, err error) {
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_RAW {
		return 0, unfit(fd, "a packet socket without Ethernet headers", "a packet socket of type SOCK_RAW")
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	link, ok := address.(*unix.SockaddrLinklayer)
	if !ok || link.Ifindex == 0 {
		return 0, unfit(fd, "a packet socket that is not bound to a device", "a bound one")
	}
	return link.Ifindex, nil
}
