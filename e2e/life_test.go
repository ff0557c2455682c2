package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSecondRun checks that a second podswitch in the pod fails and changes nothing, with the same state directory and with another one.
func TestSecondRun(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	for name, dir := range map[string]string{"same": l.stateDir, "other": socketDir(t)} {
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

// TestPodInterfaceGone checks that podswitch ends with a message when the pod interface disappears.
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

// TestUplinkDown checks that podswitch continues after the pod interface was down.
func TestUplinkDown(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	l.leased()
	l.pod.batch("link set eth0 down")
	p.awaitText("device lost")
	status := []string{"status", "--control", filepath.Join(l.stateDir, "control.sock")}
	if out, errs, code := l.verb(status...); code != 1 || !strings.Contains(out, "uplink   down") || !strings.Contains(errs, "the uplink is down") {
		t.Errorf("status: exit code %d: %s%s", code, out, errs)
	}
	l.pod.batch("link set eth0 up")
	p.awaitText("device is back")
	await(t, "the guest to be connected again", func() error {
		if _, errs, code := l.guest.run("ping", "-c1", "-W1", peerAddress); code != 0 {
			return errors.New(errs)
		}
		return nil
	})
	if out, errs, code := l.verb(append(status, "--ready")...); code != 0 {
		t.Errorf("status --ready: exit code %d: %s%s", code, out, errs)
	}
	p.stop()
}

// TestStateDirectoryFull checks that podswitch fails and changes nothing when it cannot write the state file.
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

// TestBadInput checks exit code and message of invalid command lines, and that they change nothing.
func TestBadInput(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	document := write(t, filepath.Join(t.TempDir(), "vm.yaml"), "kind: VM\nspec: {devices: {interfaces: [{name: red, model: ne2000, bridge: {}}]}, networks: [{name: blue, pod: {}}]}\n", 0o644)
	l.pod.batch("link add bare type veth peer name bare-peer")
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string // parts of the message
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
		{"bad keep", []string{"run", "--keep", "sctp/53"}, 2, []string{"sctp/53", "tcp/PORT"}},
		{"pod interface as guest", []string{"run", "--guest", "packet:eth0"}, 2, []string{"eth0", "itself"}},
		{"control path is a file", []string{"run", "--control", document}, 2, []string{document, "not a socket"}},
		{"bad MAC", []string{"run", "--guest-mac", "01:00:5e:00:00:01"}, 2, []string{"unicast"}},
		{"bad offload", []string{"run", "--offload", "maybe"}, 2, []string{"on or off"}},
		{"unknown flag", []string{"run", "--nope"}, 2, []string{"--nope"}},
		{"unknown command", []string{"walk"}, 2, []string{"walk"}},
		{"one port", []string{"switch", "--port", "tap:tap0"}, 2, []string{"2 to"}},
		{"no podswitch", []string{"status", "--control", l.stateDir + "/none.sock"}, 1, []string{"none.sock"}},
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
			for _, want := range c.want {
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
		t.Errorf("the state directory has %v, want only the lock: %v", entries, err)
	}
}

// TestPlanChangesNothing checks that plan prints what run would do, and changes nothing.
func TestPlanChangesNothing(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	out, errs, code := l.verb("plan", "--state-dir", l.stateDir)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{"no interfaces and no networks", "10.244.1.7/24", podMAC, "tap0", "mtu 1450", "Remove the address"} {
		if !strings.Contains(out, want) {
			t.Errorf("plan does not print %q:\n%s", want, out)
		}
	}
	if out, _, code := l.verb("plan", "-o", "json"); code != 0 || !strings.Contains(out, `"lease_seconds": 86400`) {
		t.Errorf("plan -o json: exit code %d: %s", code, out)
	}
	if after := l.snapshot(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}
