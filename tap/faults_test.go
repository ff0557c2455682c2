package tap

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// TestWithoutPrivilege opens devices in a thread without capabilities: the error names the missing capability and how to do without it.
func TestWithoutPrivilege(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		inherited := boundSocket(t, "v1")
		dropCapabilities(t)
		for spec, want := range map[Spec]string{
			{KindPacket, "v0"}: "CAP_NET_RAW",
			{KindTap, "tap9"}:  "CAP_NET_ADMIN",
		} {
			for _, offload := range []bool{true, false} {
				_, err := OpenDevice(spec, Options{Offload: offload})
				var lacks *missing.Error
				if !errors.As(err, &lacks) || lacks.Need != want || lacks.Give == "" {
					t.Errorf("%s, offload %t: %v; want %s", spec, offload, err, want)
				}
			}
		}
		if changed, err := SetUp("v0"); changed || err != nil {
			t.Errorf("SetUp of a device that is up: %t, %v", changed, err)
		}
		a, err := InheritDevice(inherited, Options{Offload: true}) // with a smaller buffer
		if err != nil {
			t.Error(err)
			return
		}
		portOf(t, a)
	})
}

// dropCapabilities drops the capabilities of the calling thread, which belongs to the test.
func dropCapabilities(t *testing.T) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Errorf("capset: %v", err)
		runtime.Goexit()
	}
}

// TestTunFaults: the message for each error of opening a tap.
func TestTunFaults(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		unix.ENOENT: "modprobe tun", unix.ENXIO: "modprobe tun", unix.ENODEV: "modprobe tun", unix.EACCES: "chmod",
		unix.EPERM: "ip tuntap add", unix.EBUSY: "packet:tap9", unix.EINVAL: "packet:tap9",
	} {
		err := tunError("tap9", errno)
		var lacks *missing.Error
		if !errors.As(err, &lacks) || !strings.Contains(lacks.Give, want) || !errors.Is(err, errno) {
			t.Errorf("%v: %v; want %q", errno, err, want)
		}
	}
	if err := tunError("tap9", os.NewSyscallError("open", unix.EPERM)); err == nil || !strings.Contains(err.Error(), "device plugin") || strings.Contains(err.Error(), "CAP_") {
		t.Errorf("a device that the container may not use: %v", err)
	}
	if err := tunError("tap9", unix.EIO); !errors.Is(err, unix.EIO) || errors.As(err, new(*missing.Error)) || !strings.Contains(err.Error(), "tap9") {
		t.Errorf("another error: %v", err)
	}
}

// TestSystemCallNamed: the error of a failed option names the system call.
func TestSystemCallNamed(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		nothing := aFile(t, "/dev/null")
		defer unix.Close(nothing)
		for want, err := range map[string]error{
			"TUNSETVNETHDRSZ": configureTun(nothing, vnet.Size, 0),
			"TUNSETSNDBUF":    configureTun(nothing, 0, 0),
			"TUNSETIFF":       setIff(nothing, "tap9", unix.IFF_TAP),
			"SIOCSIFMTU":      setMTU("nix", 1400),
			"PACKET_VNET_HDR": configurePacket(nothing, 1, Options{}),
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want %s", err, want)
			}
		}
		for _, err := range []error{setIff(nothing, "a name that is too long", 0), setMTU("a name that is too long", 1400)} {
			if !errors.Is(err, unix.EINVAL) {
				t.Errorf("a name that is too long: %v", err)
			}
		}
	})
}

// TestLink reads a device's MTU and brings the device up.
func TestLink(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		ip(t, "link add v0 mtu 1234 type veth peer name v1")
		if mtu, err := MTU("v0"); err != nil || mtu != 1234 {
			t.Errorf("MTU = %d, %v", mtu, err)
		}
		if _, err := MTU("nix"); err == nil || !strings.Contains(err.Error(), "nix") {
			t.Errorf("MTU of nothing: %v", err)
		}
		for _, want := range []bool{true, false} {
			if changed, err := SetUp("v0"); err != nil || changed != want {
				t.Errorf("SetUp: %t, %v; want %t", changed, err, want)
			}
		}
		for _, name := range []string{"nix", "a name that is too long"} {
			if changed, err := SetUp(name); err == nil || changed {
				t.Errorf("SetUp(%q): %t, %v", name, changed, err)
			}
		}
		open(t, Spec{KindTap, "tap9"}, true)
		if err := setMTU("tap9", 1400); err != nil {
			t.Error(err)
		}
		if mtu, err := MTU("tap9"); err != nil || mtu != 1400 {
			t.Errorf("MTU = %d, %v; want 1400", mtu, err)
		}
	})
}

// TestInheritGone inherits a packet socket whose device was deleted.
func TestInheritGone(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		fd := boundSocket(t, "v0")
		ip(t, "link del v0")
		if _, err := InheritDevice(fd, Options{}); err == nil || !strings.Contains(err.Error(), "use fd:") {
			t.Errorf("%v", err)
		}
		if err := unix.Close(fd); !errors.Is(err, unix.EBADF) {
			t.Errorf("it is left open: %v", err)
		}
	})
}

// TestTransmitFaults counts frames to a tap that is down, and to closed ports.
func TestTransmitFaults(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		ports := []vswitch.Port{open(t, Spec{KindTap, "tap9"}, true), open(t, Spec{KindPacket, "v0"}, true)}
		ports[0].Transmit([]vswitch.Frame{numbered(0)})
		ports[1].Close()
		ports[1].Transmit([]vswitch.Frame{numbered(0)})
		for _, p := range ports {
			if drops := p.Counters().Drops(); len(drops) != 1 || drops["port-down"] != 1 {
				t.Errorf("%T: drops %v; want one port-down", p, drops)
			}
		}
		ports[0].Close()
		ports[0].Transmit([]vswitch.Frame{numbered(0)})
		if n := ports[0].Counters().Drops()["port-down"]; n != 2 {
			t.Errorf("a closed tap: %d port-down; want 2", n)
		}
	})
}

// TestTransmitReason: each error of a transmit counts under its drop reason.
func TestTransmitReason(t *testing.T) {
	for errno, want := range map[syscall.Errno]vswitch.Reason{
		unix.EAGAIN: vswitch.PortFull, unix.ENOBUFS: vswitch.PortFull, unix.EIO: vswitch.PortDown, unix.ENODEV: vswitch.PortDown,
		unix.EMSGSIZE: vswitch.TooBig, unix.EINVAL: vswitch.TransmitError,
	} {
		if got := transmitReason(errno); got != want {
			t.Errorf("%v is counted as %v; want %v", errno, got, want)
		}
	}
}

// TestTruncated counts received messages that are not whole frames: truncated, without a header, or with a truncated control message,
// which may have had a VLAN tag. It returns the others.
func TestTruncated(t *testing.T) {
	counters := new(vswitch.Counters)
	p := &packetPort{counters: counters, rx: newReceiveMessages()}
	batch, n := make([]vswitch.Frame, 2), 0
	for _, flags := range []int32{unix.MSG_TRUNC, unix.MSG_CTRUNC, 0} {
		received(p.rx, make([]byte, vnet.Size), make([]byte, 60), nil, flags)
		n += p.decode(1, batch[n:])
	}
	received(p.rx, make([]byte, vnet.Size-1), nil, nil, 0)
	n += p.decode(1, batch[n:])
	if drops := counters.Drops(); n != 1 || len(batch[0].Data) != 60 || drops["truncated"] != 1 || drops["receive-error"] != 1 || drops["short"] != 1 {
		t.Errorf("%d frames, drops %v", n, drops)
	}
}

// TestNotEthernet refuses a packet socket on a device that is not an Ethernet device, opened or inherited.
func TestNotEthernet(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		ip(t, "tuntap add mode tun name t0")
		ip(t, "link set t0 up")
		ip(t, "link set lo up")
		for _, name := range []string{"t0", "lo"} {
			_, err := OpenDevice(Spec{KindPacket, name}, Options{Offload: true})
			_, inheritErr := InheritDevice(boundSocket(t, name), Options{Offload: true})
			for _, err := range []error{err, inheritErr} {
				var lacks *missing.Error
				if !errors.As(err, &lacks) || lacks.Need != "an Ethernet device" {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
}

// TestNoTap makes a tap's port of a pipe, as a process with a wrong description may do: a read that is too short is counted, and the end of
// the file is an error.
func TestNoTap(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := portOf(t, Device{FD: fds[0], Name: "tap9", Kind: KindTap, HeaderLen: vnet.Size, Offload: true})
	for _, size := range []int{vnet.Size - 1, vnet.Size + 60} {
		if _, err := unix.Write(fds[1], make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	batch := make([]vswitch.Frame, 2)
	if n, err := p.Receive(batch); n != 1 || err != nil || len(batch[0].Data) != 60 || p.Counters().Drops()["short"] != 1 {
		t.Errorf("Receive = %d, %v, drops %v", n, err, p.Counters().Drops())
	}
	unix.Close(fds[1])
	if n, err := p.Receive(batch); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("at the end: Receive = %d, %v", n, err)
	}
}
