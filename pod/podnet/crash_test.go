package podnet

// These tests kill a process after each step of Take, GiveBack and RestoreLocked, and then restore the interface.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The environment variable crashVariable turns the test binary into a process that kills itself.
const (
	crashVariable   = "PODNET_TEST_CRASH" // "operation step silence directory"
	silenceNftables = "nftables"
	silenceSysctls  = "sysctls"
	exitNotReached  = 17 // the operation ended before the step
)

func TestMain(m *testing.M) {
	if order := os.Getenv(crashVariable); order != "" {
		os.Exit(crash(strings.Fields(order)))
	}
	os.Exit(m.Run())
}

// crash performs an operation on eth0 and kills its own process after the given number of steps.
func crash(order []string) int {
	operation, silence, dir := order[0], order[2], order[3]
	at, err := strconv.Atoi(order[1])
	if err != nil {
		return 1
	}
	count := 0
	hooks := testHooks{afterStep: func(string) {
		if count++; count == at {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}}
	if silence == silenceSysctls {
		hooks.silence = withoutNftables
	}
	if err := operate(operation, dir, hooks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return exitNotReached
}

func operate(operation, dir string, hooks testHooks) error {
	lock, err := Lock(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if operation == "recover" {
		_, err := restoreState(dir, hooks)
		return err
	}
	id, err := Discover("eth0", IPv4, IPv6)
	if err != nil {
		return err
	}
	after := hooks.afterStep
	if operation == "giveback" {
		hooks.afterStep = nil
	}
	taken, err := takeWithHooks(id, dir, nil, hooks)
	if err != nil || operation == "take" {
		return err
	}
	taken.tx.hooks.afterStep = after
	return taken.GiveBack()
}

// withoutNftables fails as a kernel without nf_tables does.
func withoutNftables(*Identity) (io.Closer, error) { return nil, errors.ErrUnsupported }

// crash runs an operation in another process of this namespace, which kills itself after a step. It returns false if the operation has
// fewer steps and has completed.
func (p *pod) crash(operation string, at int, silence string) bool {
	p.t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s %s", crashVariable, operation, at, silence, p.dir))
	out, err := cmd.CombinedOutput()
	status, ok := cmd.ProcessState.Sys().(interface{ Signaled() bool })
	switch {
	case ok && status.Signaled():
		return true
	case cmd.ProcessState.ExitCode() == exitNotReached:
		return false
	}
	p.t.Fatalf("%s killed at step %d: %v\n%s", operation, at, err, out)
	return false
}

// crowded configures an object of each kind that is restored.
const crowded = `addr add 10.22.0.9/24 brd + dev eth0
	route del 10.22.0.0/24 dev eth0
	addr add 10.22.0.10/24 dev eth0
	addr add 10.23.0.1/16 dev eth0 metric 7
	route add 10.22.0.1 dev eth0 scope link src 10.22.0.9
	route add 10.22.0.0/24 via 10.22.0.1 src 10.22.0.10
	route add default via 10.22.0.1 mtu 1400
	route append default via 10.22.0.2 onlink dev eth0
	route add default via 10.22.0.1 table 100
	neigh add 10.22.0.1 lladdr 02:00:00:00:00:01 nud permanent dev eth0
	neigh add 10.22.0.2 lladdr 02:00:00:00:00:02 nud stale dev eth0`

// newCrowdedPod returns a pod with the configuration crowded, and its snapshot.
func newCrowdedPod(t *testing.T) (*pod, snapshot) {
	t.Helper()
	p := newPod(t)
	p.ip(crowded)
	return p, p.snapshot()
}

// takeAndDie takes the addresses in another process, which ends without giving back.
func (p *pod) takeAndDie() {
	p.t.Helper()
	if p.crash("take", 0, silenceNftables) {
		p.t.Fatal("killed before the end of the take")
	}
}

func TestRestoreAfterKillAtEveryStep(t *testing.T) {
	for _, silence := range []string{silenceNftables, silenceSysctls} {
		for _, operation := range []string{"take", "giveback", "recover"} {
			t.Run(operation+" with "+silence, func(t *testing.T) {
				p := newPod(t)
				p.sysctl("net/ipv4/conf/eth0/forwarding", "1")
				p.ip(crowded)
				before := p.snapshot()
				step := 1
				for killed := true; killed; step++ {
					if operation == "recover" {
						p.crash("take", 0, silence)
					}
					killed = p.crash(operation, step, silence)
					text, err := Restore(p.dir)
					if err != nil {
						t.Fatalf("step %d: %v", step, err)
					}
					if text == "" {
						t.Fatal("the report is empty")
					}
					p.wantAs(before)
				}
				if least := map[string]int{"take": 5, "giveback": 13, "recover": 13}[operation]; step < least {
					t.Errorf("killed at %d steps only, want at least %d", step-2, least-2)
				}
			})
		}
	}
}

func TestACrashLeavesTheAddressOffTheInterface(t *testing.T) {
	p, before := newCrowdedPod(t)
	p.takeAndDie()
	if left := p.addresses(); left != "" {
		t.Fatalf("still on the interface: %s", left)
	}
	if tables := p.run("nft", "list", "tables"); strings.Contains(tables, "podswitch") {
		t.Fatalf("the table outlived its process: %s", tables)
	}
	text, err := Restore(p.dir)
	if want := "eth0 is restored: 3 addresses, 6 routes, 2 neighbours"; err != nil || text != want {
		t.Fatalf("Restore = %q, %v, want %q", text, err, want)
	}
	p.wantAs(before)
	text, err = Restore(p.dir)
	if want := "nothing to restore: no state file in " + p.dir; err != nil || text != want {
		t.Fatalf("Restore again = %q, %v, want %q", text, err, want)
	}
}
