package tap

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/vswitch"
)

// TestFD inherits descriptors of each kind, which InheritDevice recognises.
func TestFD(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		for _, flags := range []uint16{unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR, unix.IFF_TAP | unix.IFF_NO_PI} {
			fd, err := unix.Open(tunDevice, unix.O_RDWR, 0)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			if err := setIff(fd, "tap9", flags); err != nil {
				t.Error(err)
				return
			}
			device := adopt(t, fd)
			ip(t, "link set tap9 up")
			kernel := open(t, Spec{KindPacket, "tap9"}, true)
			passes(t, device, kernel, 60)
			passes(t, kernel, device, 1500)
			if err := errors.Join(device.Close(), kernel.Close()); err != nil {
				t.Error(err)
			}
		}
		veth(t, "1500")
		b := open(t, Spec{KindPacket, "v1"}, true)
		a := adopt(t, boundSocket(t, "v0"))
		passes(t, a, b, 60)
		passes(t, b, a, 1500)
	})
}

// TestFDControls inherits a packet socket whose opener has requested more control messages: they must not displace the VLAN tag.
func TestFDControls(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		a, fd := open(t, Spec{KindPacket, "v0"}, true), boundSocket(t, "v1")
		for _, option := range []int{unix.SO_TIMESTAMP, unix.SO_TIMESTAMPNS, unix.SO_RXQ_OVFL} {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1); err != nil {
				t.Error(err)
			}
		}
		b := adopt(t, fd)
		want := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0x60, 5, 0x88, 0xb5}, make([]byte, 46)...)
		a.Transmit([]vswitch.Frame{{Data: want}})
		if got := receive(t, b, func(f vswitch.Frame) bool { return f.Data[0] == 2 }); !bytes.Equal(got.Data, want) {
			t.Errorf("% x arrives, want % x", got.Data, want)
		}
	})
}

// TestFDUnfit: the error says what the descriptor is, and the descriptor stays unchanged.
func TestFDUnfit(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		var pipe [2]int
		if err := unix.Pipe(pipe[:]); err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(pipe[1])
		for _, test := range []struct {
			fd       int
			is, want string
		}{
			{unboundSocket(t), "a packet socket that is not bound to a device", "a bound one"},
			{aSocket(t, unix.AF_PACKET, unix.SOCK_DGRAM), "a packet socket without Ethernet headers", "SOCK_RAW"},
			{aTun(t, unix.IFF_TUN|unix.IFF_NO_PI), "a tun", "a tap"},
			{aTun(t, unix.IFF_TAP), "a tap with packet information", "IFF_NO_PI"},
			{aFile(t, tunDevice), "a character device but not a tap", "a tap"}, // before any TUNSETIFF
			{aFile(t, "/dev/null"), "a character device but not a tap", "a unix socket"},
			{aFile(t, "/"), "a directory", "a unix socket"},
			{aFile(t, "/proc/self/exe"), "a file", "a unix socket"},
			{pipe[0], "a pipe", "a unix socket"},
			{aSocket(t, unix.AF_INET, unix.SOCK_STREAM), "a TCP socket", "a unix socket"},
			{aSocket(t, unix.AF_INET6, unix.SOCK_DGRAM), "a UDP socket", "a unix socket"},
			{aSocket(t, unix.AF_NETLINK, unix.SOCK_RAW), "a socket of family 16", "a unix socket"},
			{aSocket(t, unix.AF_UNIX, unix.SOCK_STREAM), "a unix socket and not a device", "a tap"},
			{anEvent(t), "neither a file nor a socket", "a tap"},
			{9999, "not open", "a tap"},
		} {
			_, err := InheritDevice(test.fd, Options{Offload: true})
			var lacks *missing.Error
			if !errors.As(err, &lacks) || !strings.Contains(lacks.What, fmt.Sprintf("fd:%d, which is %s", test.fd, test.is)) ||
				!strings.Contains(lacks.Need, test.want) {
				t.Errorf("%v; want %q and %q", err, test.is, test.want)
			}
			if test.fd == 9999 {
				continue
			}
			status, err := unix.FcntlInt(uintptr(test.fd), unix.F_GETFL, 0)
			flags, flagsErr := unix.FcntlInt(uintptr(test.fd), unix.F_GETFD, 0)
			if err != nil || flagsErr != nil || status&unix.O_NONBLOCK != 0 || flags != 0 {
				t.Errorf("%s has changed: %#x %#x, %v", test.is, status, flags, errors.Join(err, flagsErr))
			}
			unix.Close(test.fd)
		}
	})
}

// aTun creates a tap or a tun with arbitrary flags.
func aTun(t *testing.T, flags uint16) int {
	t.Helper()
	fd := aFile(t, tunDevice)
	if err := setIff(fd, "unfit%d", flags); err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	return fd
}

func aSocket(t *testing.T, domain, kind int) int {
	t.Helper()
	fd, err := unix.Socket(domain, kind, 0)
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	return fd
}

func anEvent(t *testing.T) int {
	t.Helper()
	fd, err := unix.Eventfd(0, 0)
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	return fd
}

func adopt(t *testing.T, fd int) vswitch.Port {
	t.Helper()
	d, err := InheritDevice(fd, Options{Offload: true})
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	return portOf(t, d)
}

func unboundSocket(t *testing.T) int {
	t.Helper()
	return aSocket(t, unix.AF_PACKET, unix.SOCK_RAW)
}

func boundSocket(t *testing.T, device string) int {
	t.Helper()
	fd := unboundSocket(t)
	link, err := net.InterfaceByName(device)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: link.Index})
	}
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	return fd
}

// aFile opens the file at path.
func aFile(t *testing.T, path string) int {
	t.Helper()
	mode := unix.O_RDONLY
	if path == tunDevice {
		mode = unix.O_RDWR
	}
	fd, err := unix.Open(path, mode, 0)
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	return fd
}
