package tap

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/missing"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// OpenFD makes a port of a descriptor that somebody else has opened and passed on: the user side of a tap, or a bound packet
// socket; which of them it is, the kernel says. The port owns the descriptor from here on, also when an error is returned.
// What a tap may do for us is set anew; a tap without virtio-net headers is a plain one. The error wraps ErrOtherKind for a
// descriptor that is something else.
func OpenFD(fd int, o Options) (vswitch.Port, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, &missing.Error{What: fmt.Sprintf("take over descriptor %d", fd), Need: "an open descriptor",
			Give: "let the one who starts podswitch pass it on", Err: err}
	}
	p, err := openFD(fd, o)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("take over descriptor %d: %w", fd, err)
	}
	return p, nil
}

// ErrOtherKind says that a descriptor is neither a tap nor a packet socket.
var ErrOtherKind = errors.New("it is neither a tap nor a packet socket")

func openFD(fd int, o Options) (vswitch.Port, error) {
	if request, err := unix.NewIfreq(""); err != nil {
		return nil, err
	} else if unix.IoctlIfreq(fd, unix.TUNGETIFF, request) == nil {
		return adoptTap(fd, request.Uint16(), o)
	}
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_PACKET {
		return nil, ErrOtherKind
	}
	return adoptPacket(fd, o)
}

// adoptTap takes over a tap with the given flags (linux/if_tun.h).
func adoptTap(fd int, flags uint16, o Options) (vswitch.Port, error) {
	switch {
	case flags&unix.IFF_TAP == 0:
		return nil, errors.New("it is a tun, which carries no Ethernet frames; want a tap")
	case flags&unix.IFF_NO_PI == 0:
		return nil, errors.New("it is a tap with packet information; want one with IFF_NO_PI")
	}
	headerLen, offloads := 0, 0
	if flags&unix.IFF_VNET_HDR != 0 {
		headerLen = vnet.Size
	}
	if headerLen > 0 && o.Offload {
		offloads = tunOffloads
	}
	if err := configureTun(fd, headerLen, offloads); err != nil {
		return nil, err
	}
	p, err := newTap(os.NewFile(uintptr(fd), "tap"), headerLen, o.Counters)
	if headerLen > 0 && o.Offload {
		return p, err
	}
	return Software(p, err)
}

// adoptPacket takes over a packet socket, which its opener has bound to a device.
func adoptPacket(fd int, o Options) (vswitch.Port, error) {
	address, err := unix.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	link, ok := address.(*unix.SockaddrLinklayer)
	if !ok || link.Ifindex == 0 {
		return nil, errors.New("it is a packet socket that is not bound to a device")
	}
	if err := configurePacket(fd, link.Ifindex); err != nil {
		return nil, err
	}
	p, err := newPacket(os.NewFile(uintptr(fd), "packet"), o.Counters)
	if o.Offload {
		return p, err
	}
	return Software(p, err)
}
