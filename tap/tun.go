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

// Offloads that the kernel may leave to the reader of a tap (linux/if_tun.h). USO needs Linux 6.2, and both of its bits or none.
const (
	tunOffloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	tunUSO      = unix.TUN_F_USO4 | unix.TUN_F_USO6
)

// openOffloadTap opens a tap with virtio-net headers: it creates the tap, or attaches to a persistent one. It sets everything that an
// earlier user of a persistent tap may have changed.
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

// attachQueue creates the tap or attaches to it. A tap with several queues accepts only a request with IFF_MULTI_QUEUE.
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

// configureTun sets the state that belongs to the device and not to the descriptor: it outlives the process that has set it.
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

// openPlainTap opens a tap without virtio-net headers: the kernel completes checksums and cuts segments before a read returns a frame, and
// expects complete frames from a write.
func openPlainTap(name string, o Options) (fd int, err error) {
	if err := tryTap(name); err != nil {
		return -1, tunError(name, err)
	}
	_, err = net.InterfaceByName(name)
	config := water.Config{DeviceType: water.TAP}
	config.Name = name
	config.Persist = err == nil // a tap that exists is persistent; water would make it transient otherwise
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

// tryTap opens the tap and closes it again. It comes before water.New, which leaks its descriptor when that fails.
func tryTap(name string) error {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	return setIff(fd, name, unix.IFF_TAP|unix.IFF_NO_PI)
}

// release duplicates the descriptor of a water.Interface, and closes the interface.
func release(device *water.Interface) (int, error) {
	defer device.Close()
	file, ok := device.ReadWriteCloser.(*os.File)
	if !ok {
		return -1, errors.New("water returned no file")
	}
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	return fd, os.NewSyscallError("fcntl", err)
}

// tunError returns the *missing.Error for an error of open(2) or TUNSETIFF.
func tunError(name string, err error) error {
	fault := &missing.Error{What: "open tap " + name, Err: err}
	var errno syscall.Errno
	errors.As(err, &errno)
	switch errno {
	case unix.ENOENT, unix.ENXIO, unix.ENODEV:
		fault.Need, fault.Give = tunDevice, "run modprobe tun on the node, and pass the device to the container, as a device plugin does"
	case unix.EACCES:
		fault.Need, fault.Give = "access to "+tunDevice, "its owner runs: chmod 666 "+tunDevice
	case unix.EPERM:
		if call := (*os.SyscallError)(nil); errors.As(err, &call) && call.Syscall == "open" { // the device controller of cgroups
			fault.Need, fault.Give = "a container that may use "+tunDevice, "add the device by a device plugin, and not by a hostPath volume"
			break
		}
		fault.Need = "CAP_NET_ADMIN"
		fault.Give = fmt.Sprintf("run as root, or root creates the tap first: ip tuntap add mode tap user %d name %s", os.Getuid(), name)
	case unix.EBUSY:
		fault.Need = "a tap that no other process has open"
		fault.Give = "if the hypervisor has it open, use packet:" + name
	case unix.EINVAL:
		fault.Need, fault.Give = "a tap; "+name+" is another kind of device", "if it is the guest's device, use packet:"+name
	default:
		return fmt.Errorf("open tap %s: %w", name, err)
	}
	return fault
}
