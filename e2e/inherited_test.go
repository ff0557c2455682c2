package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// lostText is the message of podswitch after the other end of an inherited descriptor was closed.
const lostText = "inherited descriptor lost, restart podswitch with a new one"

// startPassing starts podswitch in the pod with the files as descriptors 3 and up, and closes them in the test, as every program that starts
// podswitch must: the peer of a socket is notified only when its last descriptor is closed.
func (l *lab) startPassing(files []*os.File, args ...string) *process {
	l.t.Helper()
	args = append([]string{program, "run", "--state-dir", l.stateDir, "--hold-after", holdAfter}, args...)
	cmd := exec.Command("ip", l.pod.in(args...)...)
	return startWith(l.t, cmd, files)
}

// startWith starts a command with the files as descriptors 3 and up, and closes them in the test.
func startWith(t *testing.T, cmd *exec.Cmd, files []*os.File) *process {
	t.Helper()
	cmd.ExtraFiles = files
	p := startCmd(t, cmd)
	for _, f := range files {
		f.Close()
	}
	return p
}

// socketPair makes a pair of connected unix sockets.
func socketPair(t *testing.T, kind int) (ours, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "switch"), os.NewFile(uintptr(fds[1]), "hypervisor")
}

// TestInherited passes podswitch a tap that another program has opened.
func TestInherited(t *testing.T) {
	l := newLab(t)
	p := l.pod.start(l.pod.as("with-tap", "tap0", program, "run", "--state-dir", l.stateDir, "--guest", "fd:3")...)
	p.awaitText("ready")
	l.leased()
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	l.exchangeAll(t, l.guest, l.peer, peerAddress)
	p.stop()
}

// TestInheritedPair passes one end of a socket pair to podswitch and the other to QEMU, so that QEMU needs neither a path, nor a tap, nor
// a privilege.
func TestInheritedPair(t *testing.T) {
	need(t, "qemu-system-x86_64", "cpio")
	image := strings.TrimSpace(must(t, "kit/guest-image"))
	for _, test := range []struct {
		name   string
		kind   int
		netdev string
	}{
		{"stream", unix.SOCK_STREAM, "stream,id=net,server=off,addr.type=fd,addr.str=3"},
		{"dgram", unix.SOCK_DGRAM, "dgram,id=net,local.type=fd,local.str=3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t)
			ours, theirs := socketPair(t, test.kind)
			p := l.startPassing([]*os.File{ours}, "--guest", "fd:3")
			args := vmWithSocket(image, []string{"-netdev", test.netdev, "-device", "virtio-net-pci,netdev=net,romfile=,mac=02:00:00:00:00:01"})
			vm := startWith(t, exec.Command("qemu-system-x86_64", args...), []*os.File{theirs})
			p.awaitText("ready")
			vm.awaitFor(bootTime, "guest: lease "+podAddress+"/24")
			l.awaitHolder("guest")
			await(t, "the guest to be reached", func() error { return pings(l.peer, podAddress) })
			_ = vm.cmd.Process.Kill()
			vm.wait()
			if test.kind == unix.SOCK_STREAM { // a datagram socket does not report that its peer was closed
				l.expectLost(t, p)
			}
			p.stop()
			if got := l.pod.addresses("eth0"); !slices.Equal(got, []string{podAddress + "/24"}) {
				t.Errorf("the pod has %v", got)
			}
		})
	}
}

// expectLost checks that podswitch keeps running after its guest's descriptor was lost: it logs the loss once, answers for the address, and
// is idle.
func (l *lab) expectLost(t *testing.T, p *process) {
	t.Helper()
	p.awaitText(lostText)
	l.awaitHolder("switch")
	before := cpuTicks(t, p)
	l.peer.must("ping", "-c10", "-i0.2", "-W2", podAddress)
	if used := cpuTicks(t, p) - before; used > 50 { // a busy loop would use 180 or more
		t.Errorf("podswitch without a guest used %d ticks of CPU time, want at most 50", used)
	}
	if n := strings.Count(p.text(), lostText); n != 1 {
		t.Errorf("podswitch logged the loss %d times, want once", n)
	}
}

// cpuTicks returns the CPU time that the processes of a run have used, in hundredths of a second (proc_pid_stat(5), utime and stime).
func cpuTicks(t *testing.T, p *process) int {
	t.Helper()
	ticks := 0
	for _, m := range p.members() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.pid))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, f := range fields[11:13] {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			ticks += n
		}
	}
	return ticks
}

// TestInheritedListener passes podswitch a listening socket, as socket activation does. QEMU connects, is killed, and connects again.
func TestInheritedListener(t *testing.T) {
	need(t, "qemu-system-x86_64", "cpio")
	image := strings.TrimSpace(must(t, "kit/guest-image"))
	l := newLab(t)
	path := filepath.Join(socketDir(t), "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	p := l.startPassing([]*os.File{file}, "--guest", "fd:3")
	p.awaitText("ready")
	netdev, errs, code := l.verb("qemu-args", "--guest", "stream:"+path, "--guest-mac", "02:00:00:00:00:01")
	if code != 0 {
		t.Fatalf("qemu-args: %s", errs)
	}
	for range 2 {
		vm := start(t, "qemu-system-x86_64", vmWithSocket(image, strings.Split(strings.TrimSpace(netdev), "\n"))...)
		vm.awaitFor(bootTime, "guest: lease "+podAddress+"/24")
		l.awaitHolder("guest")
		await(t, "the guest to be reached", func() error { return pings(l.peer, podAddress) })
		_ = vm.cmd.Process.Kill()
		vm.wait()
		l.awaitHolder("switch")
	}
	p.stop()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("podswitch removed a socket file that it has not made: %v", err)
	}
}

// TestInheritedUnfit passes descriptors that cannot be a port: the message names their type, and the pod is unchanged.
func TestInheritedUnfit(t *testing.T) {
	l := newLab(t)
	want := "a tap, a packet socket bound to a device, or a unix socket"
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	pair, peer := socketPair(t, unix.SOCK_STREAM)
	defer peer.Close()
	for _, test := range []struct {
		guest     string
		file      *os.File
		is, wants string
	}{
		{"fd:3", pipe, "fd:3, which is a pipe", want},
		{"fd:3", newSocket(t, unix.AF_INET, unix.SOCK_STREAM), "fd:3, which is a TCP socket", want},
		{"fd:3", newSocket(t, unix.AF_INET, unix.SOCK_DGRAM), "fd:3, which is a UDP socket", want},
		{"fd:3", newSocket(t, unix.AF_UNIX, unix.SOCK_STREAM), "fd:3, which is a unix stream socket that neither listens nor is connected", "a listening socket"},
		{"fd:3", newSocket(t, unix.AF_UNIX, unix.SOCK_DGRAM), "fd:3, which is a unix datagram socket that is neither bound nor connected", "a bound socket"},
		{"fd:3", newSocket(t, unix.AF_UNIX, unix.SOCK_SEQPACKET), "fd:3, which is a unix seqpacket socket that is not connected", "a connected socket"},
		{"fd:999", pair, "fd:999", "an open descriptor"},
	} {
		p := l.startPassing([]*os.File{test.file}, "--guest", test.guest)
		if code := p.wait(); code != 3 || !strings.Contains(p.text(), test.is) || !strings.Contains(p.text(), "needs "+test.wants) {
			t.Errorf("exit code %d; want 3, %q and %q in:\n%s", code, test.is, test.wants, p.text())
		}
	}
	// podswitch refuses descriptors that it has opened itself. Their numbers start at 3, because nothing is passed here.
	for fd := 3; fd < 10; fd++ {
		p := l.startPassing(nil, "--guest", fmt.Sprintf("fd:%d", fd))
		if code := p.wait(); code != 3 || !strings.Contains(p.text(), fmt.Sprintf("fd:%d: needs", fd)) {
			t.Errorf("exit code %d; want 3 in:\n%s", code, p.text())
		}
	}
	if got := l.pod.addresses("eth0"); !slices.Equal(got, []string{podAddress + "/24"}) {
		t.Errorf("the pod has %v", got)
	}
}

// newSocket makes a socket without an address and a peer.
func newSocket(t *testing.T, domain, kind int) *os.File {
	t.Helper()
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "socket")
}
