package tap

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// inNamespace runs a test in a new network namespace. Its goroutine stays locked to its thread, so that the thread ends with it.
func inNamespace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, or unshare -Urnm")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("unshare: %v", err)
			return
		}
		f(t)
	}()
	<-done
}

// ip runs an ip command in the namespace of the calling thread; a failure ends the test's goroutine.
func ip(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		t.Errorf("ip %s: %v: %s", command, err, out)
		runtime.Goexit()
	}
}

// open opens an attachment or ends the test's goroutine.
func open(t *testing.T, spec Spec, offload bool) vswitch.Port {
	t.Helper()
	return portOf(t, openDevice(t, spec, offload))
}

// bothSides opens a tap that is up, on its user side and by a packet socket on its kernel side.
func bothSides(t *testing.T, offload bool) (device, kernel vswitch.Port) {
	t.Helper()
	device = open(t, Spec{KindTap, "tap9"}, offload)
	ip(t, "link set tap9 up")
	return device, open(t, Spec{KindPacket, "tap9"}, offload)
}

// openPairs creates a veth pair and a tap, and returns pairs of sender and receiver: each kind, both ways.
func openPairs(t *testing.T, offload bool) [][2]vswitch.Port {
	t.Helper()
	veth(t, "1500")
	device, kernel := bothSides(t, offload)
	a, b := open(t, Spec{KindPacket, "v0"}, offload), open(t, Spec{KindPacket, "v1"}, offload)
	return [][2]vswitch.Port{{a, b}, {b, a}, {device, kernel}, {kernel, device}}
}

// portOf makes a port of an open device.
func portOf(t *testing.T, d Device) vswitch.Port {
	t.Helper()
	d.Merge = MergeDatagrams
	p, err := d.Port(new(vswitch.Counters))
	if err != nil {
		t.Errorf("port of %s: %v", d.Name, err)
		runtime.Goexit()
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// duplicate returns the Device as another process has it after a transfer.
func duplicate(t *testing.T, d Device) Device {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(d.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	d.FD = fd
	return d
}

// openDevice opens a device without making a port of it.
func openDevice(t *testing.T, spec Spec, offload bool) Device {
	t.Helper()
	d, err := OpenDevice(spec, Options{Offload: offload})
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	return d
}

// veth creates a pair of devices and waits until they transfer frames. Their queues work only after the kernel's link watch, a thread of
// its own, has seen the carrier.
func veth(t *testing.T, mtu string) {
	t.Helper()
	ip(t, "link add v0 mtu "+mtu+" type veth peer name v1 mtu "+mtu)
	ip(t, "link set v0 up")
	ip(t, "link set v1 up")
	awaitUp(t)
}

// awaitUp waits until both ends of the pair have a carrier.
func awaitUp(t *testing.T) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		out, err := exec.Command("ip", "-br", "link", "show", "type", "veth").Output()
		if err == nil && strings.Count(string(out), " UP ") == 2 {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Errorf("the veth pair does not come up: %s", out)
			runtime.Goexit()
		}
	}
}

// receive waits for a frame for which suits returns true. After a timeout it closes the port.
func receive(t *testing.T, p vswitch.Port, suits func(vswitch.Frame) bool) vswitch.Frame {
	t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { p.Close() })
	defer timer.Stop()
	batch := make([]vswitch.Frame, vswitch.BatchSize)
	for {
		n, err := p.Receive(batch)
		if err != nil {
			t.Errorf("receive: %v", err)
			runtime.Goexit()
		}
		for _, f := range batch[:n] {
			if suits(f) {
				return f
			}
		}
	}
}
