package tap

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/vnet"
)

// InheritDevice takes over a descriptor that somebody else has opened and passed on: the user side of a tap, or a packet socket
// that is bound to a device; which of them it is, the kernel says. What a tap may do for us is set anew, and a filter that
// its opener has set on it is removed; a tap without virtio-net headers is a plain one.
//
// The error is a *missing.Error that names what the descriptor is when it is no such device; it is left as it was then,
// because it may be one that this process uses itself. Otherwise it belongs to the Device from here on, and is closed if there
// is an error.
func InheritDevice(fd int, o Options) (Device, error) {
	d := Device{FD: fd, Name: fmt.Sprintf("fd:%d", fd), HeaderLen: vnet.Size, Offload: o.Offload, Merge: Mergeable()}
	configure, err := d.recognise()
	if err != nil {
		return Device{FD: -1}, err
	}
	unix.CloseOnExec(fd)
	if err := configure(); err != nil {
		unix.Close(fd)
		return Device{FD: -1}, fmt.Errorf("take over %s: %w", d.Name, err)
	}
	return d, nil
}

// recognise finds out what the descriptor is, and returns what makes it ready.
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
		return nil, unfit(d.FD, describe(d.FD), "a tap, a packet socket that is bound to a device, or a unix socket")
	}
	d.Kind = KindPacket
	index, err := checkPacket(d.FD)
	return func() error { return configurePacket(d.FD, index) }, err
}

func (d *Device) configureTap() error {
	offloads := 0
	if d.Offload {
		offloads = tunOffloads
	}
	return configureTun(d.FD, d.HeaderLen, offloads)
}

// unfit says what the descriptor is and what would be right.
func unfit(fd int, is, want string) error {
	return &missing.Error{What: fmt.Sprintf("take over fd:%d, which is %s", fd, is), Need: want}
}

// describe says what a descriptor is that is neither a tap nor a packet socket.
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
		return "a character device, but no tap"
	case unix.S_IFSOCK:
		return describeSocket(fd)
	}
	return "neither a file nor a socket"
}

func describeSocket(fd int) string {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return "a socket that says nothing of itself"
	}
	protocol, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL) // 0 if the kernel does not tell
	inet := domain == unix.AF_INET || domain == unix.AF_INET6
	switch {
	case inet && protocol == unix.IPPROTO_TCP:
		return "a TCP socket"
	case inet && protocol == unix.IPPROTO_UDP:
		return "a UDP socket"
	case domain == unix.AF_UNIX:
		return "a unix socket, but no device"
	}
	return fmt.Sprintf("a socket of the family %d and the protocol %d", domain, protocol)
}

// checkTap tells whether frames can be had from a tap with the given flags (linux/if_tun.h).
func checkTap(fd int, flags uint16) error {
	switch {
	case flags&unix.IFF_TAP == 0:
		return unfit(fd, "a tun, and carries no Ethernet frames", "a tap")
	case withPacketInfo(fd):
		return unfit(fd, "a tap with packet information", "a tap with IFF_NO_PI")
	}
	return nil
}

// withPacketInfo tells whether four bytes come before each frame of a tap. The bit that says that there are none says also that
// there is no filter (IFF_NO_PI and IFF_NOFILTER of linux/if_tun.h): so it is read while there is one, which lets all pass.
func withPacketInfo(fd int) bool {
	hidden := func() bool {
		request, err := unix.NewIfreq("")
		return err != nil || unix.IoctlIfreq(fd, unix.TUNGETIFF, request) != nil || request.Uint16()&unix.IFF_NO_PI != 0
	}
	if !hidden() {
		return true
	}
	filter := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1} // "return all of it"
	program := unix.SockFprog{Len: 1, Filter: &filter}
	if _, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNATTACHFILTER, uintptr(unsafe.Pointer(&program))); err != 0 {
		return false
	}
	with := !hidden()
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNDETACHFILTER, uintptr(unsafe.Pointer(&program)))
	return with
}

// checkPacket returns the index of the device that the opener of a packet socket has bound it to (packet(7)).
func checkPacket(fd int) (index int, err error) {
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_RAW {
		return 0, unfit(fd, "a packet socket without Ethernet headers", "a packet socket of the type SOCK_RAW")
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	link, ok := address.(*unix.SockaddrLinklayer)
	if !ok || link.Ifindex == 0 {
		return 0, unfit(fd, "a packet socket that is not bound to a device", "one that is")
	}
	return link.Ifindex, nil
}
