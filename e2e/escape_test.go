package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEscape checks for each kind of attempt to leave the sandbox that the kernel ends the switch, and that the pod has its address back
// within a second. The build tag escape adds the attempts to the program.
func TestEscape(t *testing.T) {
	l := newLab(t)
	l.keepNeighbours()
	before, escaping := l.pristine(), filepath.Join(t.TempDir(), "podswitch")
	build := exec.Command("go", "build", "-tags", "escape", "-o", escaping, "../cmd/podswitch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	longest := time.Duration(0)
	for _, try := range []string{
		"open", "open for writing", "create", "list", "unlink", "tap", "ioctl", "keeper's memory",
		"inet", "inet6", "unix", "packet", "netlink", "vsock", "dial", "datagram away",
		"ptrace", "kill", "thread's kill", "pidfd", "exec", "command",
		"mount", "namespace", "setns", "setuid", "chroot", "executable page",
	} {
		p := l.pod.start("env", "PODSWITCH_ESCAPE="+try, escaping, "run", "--hold-switch", "0s", "--state-dir", l.stateDir)
		p.awaitText("ready")
		p.member(switchRole).signal(syscall.SIGUSR1)
		longest = max(longest, l.awaitAddress(try, time.Now(), time.Second))
		l.awaitPristine(before, "a switch that tried "+try)
		if code, text := p.wait(), p.text(); code != 1 || !strings.Contains(text, "bad system call") || strings.Contains(text, "escape: ") {
			t.Errorf("%s: exit code %d\n%s", try, code, text)
		}
	}
	t.Logf("the address was back after %s at most", longest.Round(time.Millisecond))
}
