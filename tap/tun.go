package tap

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/vnet"
)

const tunDevice = "/dev/net/tun"

// Offloads that the kernel may use towards us (linux/if_tun.h). USO needs Linux 6.2, and both of its bits or none.
const (
	tunOffloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	tunUSO      = unix.TUN_F_USO4 | unix.TUN_F_USO6
)

// openOffloadTap opens a tap with virtio-net headers. A tap that exists and is persistent is attached to, and whatever an
// earlier user may have left set on it is set anew.
func openOffloadTap(name string, o Options) (fd int, err error) {
	fd, err = unix.Open(tunDevice, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, tunError(name, os.NewSyscallError("open", err))
	}
	if err := attachQueue(fd, name, unix.IFF_TAP|unix.IFF_NO_PI|unix.IFF_VNET_HDR); err != nil {
		unix.Close(fd)
		return -1, tunError(name, err)
	}
	if err := errors.Join(configureTun(fd, vnet.Size, tunOffloads), setMTU(name, o.MTU)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("configure tap %s: %w", name, err)
	}
	return fd, nil
}

// attachQueue creates the tap or attaches to it; a tap that was made for several queues wants to be asked for them.
func attachQueue(fd int, name string, flags uint16) error {
	err := setIff(fd, name, flags)
	if errors.Is(err, unix.EINVAL) {
		return setIff(fd, name, flags|unix.IFF_MULTI_QUEUE)
	}
	return err
}

func setIff(fd int, name string, flags uint16) error {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(flags)
	return os.NewSyscallError("TUNSETIFF", unix.IoctlIfreq(fd, unix.TUNSETIFF, request))
}

// configureTun sets what is state of the device and not of the descriptor, because it outlives the process that set it.
func configureTun(fd, headerLen, offloads int) error {
	if headerLen > 0 {
		if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, headerLen); err != nil {
			return os.NewSyscallError("TUNSETVNETHDRSZ", err)
		}
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETSNDBUF, 1<<31-1); err != nil {
		return os.NewSyscallError("TUNSETSNDBUF", err)
	}
	if offloads != 0 && unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads|tunUSO) == nil {
		return nil
	}
	return os.NewSyscallError("TUNSETOFFLOAD", unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads))
}

// openPlainTap opens a tap without headers: the kernel completes checksums and cuts segments before we see a frame, and
// wants the same from us.
func openPlainTap(name string, o Options) (fd int, err error) {
	if err := tryTap(name); err != nil {
		return -1, tunError(name, err)
	}
	_, err = net.InterfaceByName(name)
	config := water.Config{DeviceType: water.TAP}
	config.Name = name
	config.Persist = err == nil // who can be attached to is persistent; water would make it transient otherwise
	device, err := water.New(config)
	if err != nil {
		return -1, tunError(name, err)
	}
	fd, err = release(device)
	if err != nil {
		return -1, fmt.Errorf("open tap %s: %w", name, err)
	}
	if err := errors.Join(configureTun(fd, 0, 0), setMTU(name, o.MTU)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("configure tap %s: %w", name, err)
	}
	return fd, nil
}

// tryTap finds out whether the tap can be opened. Water would keep its descriptor when it cannot.
func tryTap(name string) error {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	return setIff(fd, name, unix.IFF_TAP|unix.IFF_NO_PI)
}

// release takes the descriptor out of what water returned, which is closed.
func release(device *water.Interface) (int, error) {
	defer device.Close()
	file, ok := device.ReadWriteCloser.(*os.File)
	if !ok {
		return -1, errors.New("no file behind it")
	}
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	return fd, os.NewSyscallError("fcntl", err)
}

// tunError says what a tap lacks.
func tunError(name string, err error) error {
	fault := &missing.Error{What: "open tap " + name, Err: err}
	var errno syscall.Errno
	errors.As(err, &errno)
	switch errno {
	case unix.ENOENT, unix.ENXIO, unix.ENODEV:
		fault.Need, fault.Give = tunDevice, "modprobe tun, and give the container the device"
	case unix.EACCES:
		fault.Need, fault.Give = "access to "+tunDevice, "let its owner do: chmod 666 "+tunDevice
	case unix.EPERM:
		fault.Need = "CAP_NET_ADMIN"
		fault.Give = fmt.Sprintf("run as root, or let root make the tap first: ip tuntap add mode tap user %d name %s", os.Getuid(), name)
	case unix.EBUSY:
		fault.Need = "a tap without another user"
		fault.Give = "if the hypervisor holds it, say packet:" + name
	case unix.EINVAL:
		fault.Need, fault.Give = "a tap", name+" exists and is something else: if it is the guest's device, say packet:"+name
	default:
		return fmt.Errorf("open tap %s: %w", name, err)
	}
	return fault
}
