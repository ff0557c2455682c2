package tap

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// MTU returns the MTU in bytes of a device in this process's network namespace.
func MTU(name string) (int, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("MTU of %s: %w", name, err)
	}
	return link.MTU, nil
}

// SetUp brings a device of this process's network namespace up, which needs CAP_NET_ADMIN, and reports whether it was down. A device that
// is up already needs no privilege.
func SetUp(name string) (changed bool, err error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return false, err
	}
	err = onSocket(func(fd int) error {
		if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request); err != nil {
			return os.NewSyscallError("SIOCGIFFLAGS", err)
		}
		if request.Uint16()&unix.IFF_UP != 0 {
			return nil
		}
		changed = true
		request.SetUint16(request.Uint16() | unix.IFF_UP)
		return os.NewSyscallError("SIOCSIFFLAGS", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
	})
	return changed, err
}

// setMTU sets the MTU of the kernel side of a tap; 0 leaves it as it is.
func setMTU(name string, mtu int) error {
	if mtu == 0 {
		return nil
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint32(uint32(mtu))
	return onSocket(func(fd int) error {
		return os.NewSyscallError("SIOCSIFMTU", unix.IoctlIfreq(fd, unix.SIOCSIFMTU, request))
	})
}

// onSocket calls f with a socket, which the ioctls of netdevice(7) need.
func onSocket(f func(fd int) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	return f(fd)
}
