package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestGiveBack kills podswitch twenty times at random moments under traffic, and wants the pod interface as it was: after
// SIGKILL with `podswitch restore`, after SIGTERM without.
func TestGiveBack(t *testing.T) {
	for _, how := range []struct {
		name   string
		signal syscall.Signal
	}{{"kill -9 and restore", syscall.SIGKILL}, {"SIGTERM", syscall.SIGTERM}} {
		t.Run(how.name, func(t *testing.T) {
			l := newLab(t)
			l.pod.must("ping", "-c1", "-W2", nodeAddress)
			// Time alone changes what the kernel says of a neighbour: entries that stay as they are, and one that is permanent.
			l.pod.batch("neigh replace 10.244.1.200 lladdr 02:00:00:00:00:c8 dev eth0 nud permanent",
				"neigh replace 10.244.1.1 lladdr "+l.mac(l.node, "cni0")+" dev eth0 nud stale", "neigh flush 10.244.1.8 dev eth0")
			// Who asks for the pod's MAC makes itself known to the pod's kernel: here nobody has to ask.
			l.peer.batch("neigh replace 10.244.1.7 lladdr " + podMAC + " dev eth0 nud permanent")
			l.node.batch("neigh replace 10.244.1.7 lladdr " + podMAC + " dev cni0 nud permanent")
			before := l.snapshot()
			for round := range 20 {
				l.killOnce(how.signal)
				if after := l.snapshot(); after != before {
					t.Fatalf("round %d: the pod interface has changed\nbefore %s\nafter  %s", round, before, after)
				}
			}
			l.pod.must("ping", "-c1", "-W2", nodeAddress)
		})
	}
}

func (l *lab) mac(n namespace, device string) string {
	l.t.Helper()
	return strings.TrimSpace(n.must("cat", "/sys/class/net/"+device+"/address"))
}

// killOnce runs podswitch with a guest that sends, and ends it at a random moment between its start and half a second later.
func (l *lab) killOnce(signal syscall.Signal) {
	l.t.Helper()
	p := l.launch()
	delay := time.Duration(rand.IntN(500)) * time.Millisecond
	timer := time.NewTimer(delay)
	defer timer.Stop()
	var traffic *process
	if delay > 100*time.Millisecond {
		p.awaitText("ready")
		l.plugGuest()
		l.guest.batch("addr add 10.244.1.7/24 dev tap0", "route add default via 10.244.1.1")
		traffic = l.guest.start("ping", "-f", "-w5", peerAddress)
	}
	<-timer.C
	p.signal(signal)
	code := p.wait()
	if traffic != nil {
		traffic.signal(syscall.SIGKILL)
		traffic.wait()
	}
	if signal == syscall.SIGKILL {
		for range 2 { // harmless to repeat
			if out, errs, code := l.verb("restore", "--state-dir", l.stateDir); code != 0 {
				l.t.Fatalf("restore: exit code %d\n%s%s", code, out, errs)
			}
		}
	} else if code != 0 && !(code == -1 && delay < 100*time.Millisecond) { // before the handler is set, the signal itself ends it
		l.t.Fatalf("exit code %d\n%s", code, p.text())
	}
}

// TestSignals checks that a second signal disturbs nothing.
func TestSignals(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	p := l.podswitch()
	p.signal(syscall.SIGINT)
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
	if after := l.snapshot(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// TestMessagesUnread checks that the address goes back whatever becomes of the reader of the messages: one that has gone, and
// one that does not read.
func TestMessagesUnread(t *testing.T) {
	for _, reads := range []bool{false, true} {
		l := newLab(t)
		before := l.snapshot()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("ip", l.pod.in(program, "run", "--state-dir", l.stateDir)...)
		cmd.Stderr = w
		if !reads {
			fill(t, w)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		await(t, "the address to be taken", func() error {
			if got := l.pod.addressed("eth0"); len(got) > 0 {
				return fmt.Errorf("eth0 has %v", got)
			}
			return nil
		})
		if reads {
			r.Close() // a reader that has gone
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("reader gone %v: %v", reads, err)
			}
		case <-time.After(patience):
			t.Fatalf("reader gone %v: does not end", reads)
		}
		if after := l.snapshot(); after != before {
			t.Errorf("reader gone %v: before %s\nafter %s", reads, before, after)
		}
		w.Close()
		r.Close()
	}
}

// fill writes to an empty pipe until it is full.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	size, err := unix.FcntlInt(w.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
}

// TestIdleGuest checks that a guest which only listens is reached again after podswitch was killed and started anew.
func TestIdleGuest(t *testing.T) {
	l := newLab(t)
	l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450 up")
	p := l.podswitch("--guest", "packet:v0")
	l.leased()
	l.guest.serves("serve-text", ":80", "hello")
	p.signal(syscall.SIGKILL)
	p.wait()
	p = l.podswitch("--guest", "packet:v0")
	await(t, "the guest to answer", func() error {
		if out, errs, code := l.peer.run(l.peer.as("fetch", podAddress+":80")...); code != 0 || out != "hello\n" {
			return errors.New(out + errs)
		}
		return nil
	})
	l.awaitHolder("guest")
	p.stop()
}

// TestCrashRecovery checks that a new run puts back what a killed one took, and then serves the guest that never stopped.
func TestCrashRecovery(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	p := l.podswitch()
	p.signal(syscall.SIGKILL)
	p.wait()
	if got := l.pod.addressed("eth0"); len(got) != 0 {
		t.Fatalf("eth0 has %v after the kill", got)
	}
	p = l.podswitch()
	p.awaitText("an earlier run did not give back")
	l.plugGuest()
	l.guest.batch("addr add 10.244.1.7/24 dev tap0", "route add default via 10.244.1.1") // a guest that has its lease already
	await(t, "the guest to be connected again", func() error {
		if _, errs, code := l.guest.run("ping", "-c1", "-W1", peerAddress); code != 0 {
			return errors.New(errs)
		}
		return nil
	})
	l.awaitHolder("guest")
	p.stop()
	if after := l.snapshot(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// TestSecondRun checks that a second podswitch changes nothing, in the same state directory and in another one.
func TestSecondRun(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	for name, dir := range map[string]string{"same": l.stateDir, "other": t.TempDir()} {
		_, errs, code := l.verb("run", "--state-dir", dir, "--guest", "tap:tap1")
		if code != 3 {
			t.Errorf("%s state directory: exit code %d, want 3: %s", name, code, errs)
		}
		if name == "same" && !strings.Contains(errs, l.stateDir) || name == "other" && !strings.Contains(errs, "another podswitch") {
			t.Errorf("%s state directory: %s", name, errs)
		}
	}
	if _, errs, code := l.verb("restore", "--state-dir", l.stateDir); code != 3 {
		t.Errorf("restore beside a running podswitch: exit code %d: %s", code, errs)
	}
	l.leased()
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	p.stop()
}

// TestPodInterfaceGone checks that podswitch ends with a message when its interface disappears.
func TestPodInterfaceGone(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	l.leased()
	l.node.batch("link del vpod")
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if !strings.Contains(p.text(), "eth0") || !strings.Contains(p.text(), "disappeared") {
		t.Errorf("no clear message:\n%s", p.text())
	}
	if _, errs, code := l.verb("restore", "--state-dir", l.stateDir); code != 0 {
		t.Errorf("restore: exit code %d: %s", code, errs)
	}
}

// TestUplinkDown checks that the pod interface may go down and up.
func TestUplinkDown(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	l.leased()
	l.pod.batch("link set eth0 down")
	p.awaitText("pod interface lost")
	l.pod.batch("link set eth0 up")
	p.awaitText("pod interface is back")
	await(t, "the guest to be connected again", func() error {
		if _, errs, code := l.guest.run("ping", "-c1", "-W1", peerAddress); code != 0 {
			return errors.New(errs)
		}
		return nil
	})
	p.stop()
}

// TestGuestLeaves checks that the pod stays reachable when the guest's device goes away with its namespace, and that the
// next guest, with another MAC, gets the address.
func TestGuestLeaves(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	p := l.podswitch()
	l.leased()
	first := l.status().Lease.MAC
	must(t, "ip", "netns", "del", l.guest.name)
	p.awaitText("device is back")
	l.awaitHolder("switch")
	l.peer.must("ping", "-c1", "-W2", podAddress)
	must(t, "ip", "netns", "add", l.guest.name)
	l.guest.batch("link set lo up")
	l.leased()
	if second := l.status().Lease.MAC; second == first {
		t.Errorf("the second guest has the first one's MAC %s: the test shows nothing", second)
	}
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	p.stop()
	if after := l.snapshot(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// TestShortAbsence checks that a guest whose device goes and comes back in time keeps the address, without asking for it again.
func TestShortAbsence(t *testing.T) {
	l := newLab(t)
	l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450 up")
	p := l.podswitch("--guest", "packet:v0", "--hold-after", "1h")
	l.leased()
	l.guest.batch("link set tap0 down")
	await(t, "the switch to notice", func() error {
		if l.pod.must("cat", "/sys/class/net/v0/operstate") == "up\n" {
			return errors.New("v0 is up")
		}
		return nil
	})
	l.guest.batch("link set tap0 up", "route add default via 10.244.1.1")
	await(t, "the guest to be connected again", func() error { return pings(l.guest, peerAddress) })
	await(t, "the guest to be reached", func() error { return pings(l.peer, podAddress) })
	if n := strings.Count(p.text(), "DISCOVER"); n != 1 {
		t.Errorf("%d DISCOVERs, want the first one only", n)
	}
	if strings.Contains(p.text(), "link down") {
		t.Errorf("the guest lost the address:\n%s", p.text())
	}
	p.stop()
}

// TestLateDevice starts podswitch before the hypervisor has made its tap.
func TestLateDevice(t *testing.T) {
	l := newLab(t)
	p := l.podswitch("--guest", "packet:v0")
	p.awaitText("not there yet")
	l.peer.must("ping", "-c1", "-W2", podAddress)
	l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450")
	p.awaitText("device is back")
	l.leased()
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	p.stop()
}

// TestLeaseFollowsPort checks that a guest that comes back with another MAC gets the address once the old MAC is silent.
func TestLeaseFollowsPort(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	l.leased()
	l.guest.batch("addr flush dev tap0", "link set tap0 down", "link set tap0 address 02:00:00:00:00:42", "link set tap0 up")
	l.udhcpc("tap0")
	if got := l.status().Lease.MAC; got != "02:00:00:00:00:42" {
		t.Errorf("the lease is %s's", got)
	}
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	p.stop()
}

// TestRelease checks that the pod is reachable again after the guest has given the address back.
func TestRelease(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	l.plugGuest()
	script := write(t, filepath.Join(t.TempDir(), "script"), udhcpcScript, 0o755)
	client := l.guest.start("env", "RESOLV=/dev/null", "udhcpc", "-i", "tap0", "-s", script, "-f", "-R")
	l.awaitHolder("guest")
	// The client sends its RELEASE and takes its address off at once: the way to the server must be known by then.
	await(t, "the guest to know its gateway", func() error { return pings(l.guest, nodeAddress) })
	client.signal(syscall.SIGTERM)
	client.wait()
	l.awaitHolder("switch")
	p.awaitText("RELEASE")
	l.peer.must("ping", "-c1", "-W2", podAddress)
	p.stop()
}

// TestStateDirectoryFull checks that nothing is changed when the state file cannot be written.
func TestStateDirectoryFull(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	script := fmt.Sprintf(`mount -t tmpfs -o size=16k tmpfs %[1]s; head -c 1M /dev/zero > %[1]s/full 2>/dev/null; exec %[2]s run --state-dir %[1]s`, l.stateDir, program)
	_, errs, code := l.pod.run("unshare", "-m", "sh", "-c", script)
	if code == 0 || !strings.Contains(errs, l.stateDir) {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if after := l.snapshot(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// TestBadInput checks exit code and message of what cannot work, and that nothing is changed.
func TestBadInput(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	document := write(t, filepath.Join(t.TempDir(), "vm.yaml"), "kind: VM\nspec: {devices: {interfaces: [{name: red, model: ne2000, bridge: {}}]}, networks: [{name: blue, pod: {}}]}\n", 0o644)
	l.pod.batch("link add bare type veth peer name bare-peer")
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"no such interface", []string{"run", "--pod-interface", "eth7"}, 3, []string{"eth7"}},
		{"no address", []string{"run", "--pod-interface", "bare"}, 3, []string{"bare", "plain bridge"}},
		{"bad document", []string{"run", "--vm", document}, 2, []string{"spec.devices.interfaces[0].model", "ne2000", "spec.networks[0]"}},
		{"bad document, check", []string{"check", document}, 2, []string{"spec.devices.interfaces[0].model"}},
		{"no document", []string{"run", "--vm", "/nonexistent/vm.yaml"}, 2, []string{"/nonexistent/vm.yaml"}},
		{"wrong interface name", []string{"run", "--interface", "red"}, 2, []string{"red", "default"}},
		{"no such device for a switch", []string{"switch", "--port", "packet:tap7", "--port", "tap:tap8", "--control", l.stateDir + "/c"}, 3, []string{"tap7"}},
		{"no Ethernet device", []string{"switch", "--port", "packet:lo", "--port", "tap:tap8", "--control", l.stateDir + "/c"}, 3, []string{"lo", "Ethernet"}},
		{"bad guest", []string{"run", "--guest", "macvtap:tap0"}, 2, []string{"macvtap:tap0", "tap:NAME"}},
		{"bad keep", []string{"run", "--keep", "udp/53"}, 2, []string{"udp/53", "tcp/PORT"}},
		{"pod interface as guest", []string{"run", "--guest", "packet:eth0"}, 2, []string{"eth0", "itself"}},
		{"control path is a file", []string{"run", "--control", document}, 2, []string{document, "not a socket"}},
		{"bad MAC", []string{"run", "--guest-mac", "01:00:5e:00:00:01"}, 2, []string{"unicast"}},
		{"bad offload", []string{"run", "--offload", "maybe"}, 2, []string{"on or off"}},
		{"unknown flag", []string{"run", "--nope"}, 2, []string{"--nope"}},
		{"unknown command", []string{"walk"}, 2, []string{"walk"}},
		{"one port", []string{"switch", "--port", "tap:tap0"}, 2, []string{"2 to"}},
		{"nobody there", []string{"status", "--control", l.stateDir + "/none.sock"}, 1, []string{"none.sock"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args
			if args[0] == "run" {
				args = append(slices.Clone(args), "--state-dir", l.stateDir)
			}
			_, errs, code := l.verb(args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(errs, want) {
					t.Errorf("the message does not name %q: %s", want, errs)
				}
			}
		})
	}
	if after := l.snapshot(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
	if entries, err := os.ReadDir(l.stateDir); err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != "lock" }) {
		t.Errorf("left in the state directory: %v %v", entries, err)
	}
}

// TestPlanChangesNothing checks that plan names what run would do, and does nothing.
func TestPlanChangesNothing(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	out, errs, code := l.verb("plan", "--state-dir", l.stateDir)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{"no interfaces and no networks", "10.244.1.7/24", podMAC, "tap0", "mtu 1450", "Remove the address"} {
		if !strings.Contains(out, want) {
			t.Errorf("plan does not say %q:\n%s", want, out)
		}
	}
	if out, _, code := l.verb("plan", "-o", "json"); code != 0 || !strings.Contains(out, `"lease_seconds": 86400`) {
		t.Errorf("plan -o json: exit code %d: %s", code, out)
	}
	if after := l.snapshot(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}
