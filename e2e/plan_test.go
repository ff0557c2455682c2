package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPlanBesideRun: plan works beside a running podswitch, says that it runs, and changes nothing; with another state directory it says which
// one is missing.
func TestPlanBesideRun(t *testing.T) {
	for _, mode := range []string{"move", "mute"} {
		t.Run(mode, func(t *testing.T) {
			l := newLab(t)
			p := l.launch("--address", mode)
			p.awaitText("ready")
			running := l.snapshot()
			out, errs, code := l.verb("plan", "--address", mode, "--state-dir", l.stateDir)
			if code != 0 || !strings.Contains(out, "10.244.1.7/24") || !strings.Contains(out, "warning: another podswitch is running") ||
				strings.Contains(out, "Restore eth0") {
				t.Errorf("exit code %d\n%s%s", code, out, errs)
			}
			out, errs, code = l.verb("plan", "--state-dir", filepath.Join(l.stateDir, "other"))
			if text := out + errs; mode == "move" && (code != 3 || !strings.Contains(text, "its state file is not in "+filepath.Join(l.stateDir, "other"))) ||
				mode == "mute" && (code != 0 || !strings.Contains(text, "another podswitch is running")) {
				t.Errorf("another state directory: exit code %d\n%s", code, text)
			}
			if after := l.snapshot(); after != running {
				t.Errorf("before %s\nafter %s", running, after)
			}
			p.stop()
		})
	}
}

// TestPlanFamilies: plan has the addresses of both families, or of the one of --families. Without such an address the error names the flag.
func TestPlanFamilies(t *testing.T) {
	const v4, v6 = "10.244.1.7/24", "fd00:10:244:1::7/64"
	l := newLab(t)
	if _, errs, code := l.verb("plan", "--families", "ipv6", "--state-dir", l.stateDir); code != 3 || !strings.Contains(errs, "because of --families ipv6") {
		t.Errorf("a pod without IPv6: exit code %d, %s", code, errs)
	}
	l.pod.must("sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")
	l.pod.batch("addr add "+v6+" nodad dev eth0", "-6 route add default via fd00:10:244:1::1")
	check := func(state string) {
		for families, has := range map[string][2]bool{"ipv4,ipv6": {true, true}, "ipv4": {true, false}, "ipv6": {false, true}} {
			out, errs, code := l.verb("plan", "--families", families, "--state-dir", l.stateDir)
			if code != 0 || strings.Contains(out, v4) != has[0] || strings.Contains(out, v6) != has[1] {
				t.Errorf("%s, --families %s: exit code %d\n%s%s", state, families, code, out, errs)
			}
		}
	}
	check("no podswitch runs")
	p := l.launch()
	p.awaitText("ready")
	check("podswitch runs")
	p.stop()
}

// TestPlanTries: plan says what run would fail at, as far as it can tell without opening anything.
func TestPlanTries(t *testing.T) {
	l := newLab(t)
	for guest, want := range map[string]string{
		"fd:9":           "run would end with exit code 3: --guest fd:9: use fd:9: needs an open descriptor",
		"stream:/nope/x": "run would end with exit code 2: --guest stream:/nope/x: socket path \"/nope/x\": its directory does not exist",
		"packet:tap0":    "",
	} {
		out, errs, code := l.verb("plan", "--guest", guest, "--state-dir", l.stateDir)
		if code != 0 || !strings.Contains(out, want) || strings.Contains(out, "run would end") != (want != "") {
			t.Errorf("%s: exit code %d, want %q\n%s%s", guest, code, want, out, errs)
		}
	}
	out, errs, code := l.pod.run("setpriv", "--bounding-set=-net_raw", program, "plan", "--guest", "packet:tap0", "--state-dir", l.stateDir)
	if code != 0 || !strings.Contains(out, "run would end with exit code 3: be the keeper: needs CAP_NET_RAW") {
		t.Errorf("without NET_RAW: exit code %d\n%s%s", code, out, errs)
	}
}

// TestControlLeavesNothing: the directories of a control socket go with it.
func TestControlLeavesNothing(t *testing.T) {
	l := newLab(t)
	made := filepath.Join(t.TempDir(), "a")
	p := l.launch("--control", filepath.Join(made, "b", "socket"))
	p.awaitText("ready")
	p.stop()
	if _, err := os.Lstat(made); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", made, err)
	}
}

// TestWatchdogLogs: the watchdog says what it has restored after a kill, in the format of the other messages.
func TestWatchdogLogs(t *testing.T) {
	l := newLab(t)
	p := l.launch("--log-format", "json", "--hold-keeper", "200ms")
	p.awaitText("ready")
	p.member(keeperRole).signal(syscall.SIGKILL)
	p.awaitText(`"msg":"watchdog: the keeper was killed, waiting for another one"`)
	p.awaitText(`"msg":"watchdog: the keeper was killed","report":"eth0 is restored: 1 address`)
	p.wait()
}
