package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Tests of keeper and switch in separate containers: the keeper is root, the switch is user 107 without capabilities. Each is the first
// process of a new process namespace and has its own mounts. They share the pod's network namespace and one directory.

// switchUser is the user that KubeVirt's containers run as.
const switchUser = "107"

// A split is a keeper in a container that serves switches in other containers.
type split struct {
	*lab
	socket string // path of the keeper's socket
	keeper *process
}

// newSplit makes a lab and starts the keeper in its pod.
func newSplit(t *testing.T, args ...string) *split {
	l := newLab(t)
	s := &split{lab: l, socket: filepath.Join(sharedFolder(t), "socket")}
	s.startKeeper(args...)
	return s
}

func (s *split) startKeeper(args ...string) {
	s.t.Helper()
	own := []string{program, "keeper", "--listen", s.socket, "--state-dir", s.stateDir, "--peer-uid", switchUser}
	s.keeper = s.pod.contained("", append(own, args...)...)
	s.keeper.awaitText("waiting for a switch")
}

// supervised returns the child of the first process of a container, and its process id there.
func (p *process) supervised() (pid, own int) {
	p.t.Helper()
	await(p.t, "the process below the supervisor", func() error {
		for _, pid = range childrenOf(p.cmd.Process.Pid) {
			if args := argumentsOf(pid); slices.Contains(args, "--supervised") && !slices.Contains(args, "--when-closed") { // not an earlier keeper's watchdog
				return nil
			}
		}
		return errors.New("there is none")
	})
	fields := strings.Fields(readStatus(p.t, fmt.Sprintf("/proc/%d/status", pid))["NSpid"])
	own, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		p.t.Fatal(err)
	}
	return pid, own
}

// killSupervised kills the child of the first process of a container.
func (p *process) killSupervised() {
	p.t.Helper()
	pid, _ := p.supervised()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
}

// launchSwitch starts a switch as a user, or as root if user is empty.
func (s *split) launchSwitch(user string, args ...string) *process {
	s.t.Helper()
	return s.pod.contained(user, append([]string{program, "run", "--keeper", s.socket, "--peer-pid-namespace", "any"}, args...)...)
}

func (s *split) startSwitch(args ...string) *process {
	s.t.Helper()
	p := s.launchSwitch(switchUser, args...)
	p.awaitText("ready")
	return p
}

// contained starts a program as the first process of a new process namespace with its own mounts. If user is not empty, the program runs
// as that user without capabilities.
func (n namespace) contained(user string, args ...string) *process {
	n.t.Helper()
	if user != "" {
		args = append([]string{"setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--inh-caps", "-all",
			"--bounding-set", "-all", "--no-new-privs"}, args...)
	}
	cmd := exec.Command("ip", n.in(append([]string{"sh", "-c", `mount -t proc proc /proc && exec "$@"`, "sh"}, args...)...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	return startCmd(n.t, cmd)
}

// sharedFolder makes a directory that every user can read.
func sharedFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shared-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestContainers ends switches by a request and by a kill: each time the pod has its address back, because the keeper does not hold it, and
// the keeper accepts the next switch. Then one switch takes over from another under traffic.
func TestContainers(t *testing.T) {
	s := newSplit(t, "--peer-pid-namespace", "any", "--hold-switch", "0s")
	before := s.pristine()
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		p := s.startSwitch()
		s.leased()
		s.guest.must("ping", "-c1", "-W2", peerAddress)
		s.expectConfined(p.supervised())
		p.signal(end)
		s.awaitAddress(end.String(), time.Now(), time.Second)
		if code := p.wait(); code != 0 && end == syscall.SIGTERM {
			t.Errorf("exit code %d\n%s", code, p.text())
		}
	}
	standing := s.startSwitch()
	s.leased()
	traffic := s.pourBoth()
	next := s.startSwitch("--takeover")
	traffic.end()
	if now := s.status(); now.Takeovers != 1 || now.Holder != "guest" || now.KeeperPID != 0 {
		t.Errorf("status %+v", now)
	}
	s.expectConfined(next.cmd.Process.Pid, 1)
	standing.awaitText("standing by")
	s.keeper.stop()
	if code := next.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, next.text())
	}
	if after := s.pristine(); withoutNeighbours(after) != withoutNeighbours(before) {
		t.Errorf("before %s\nafter %s", before, after)
	}
	standing.stop() // it waits for a keeper
}

// TestStandingBy: a switch whose place another one has taken goes on when that one ends. One that is told to wait briefly ends with 3.
func TestStandingBy(t *testing.T) {
	s := newSplit(t, "--peer-pid-namespace", "any")
	first := s.startSwitch()
	s.leased()
	next := s.startSwitch("--takeover")
	first.awaitText("standing by")
	next.signal(syscall.SIGKILL)
	awaitCount(t, first, "ready", 2)
	s.guest.must("ping", "-c1", "-W2", peerAddress)
	s.keeper.stop()
	first.stop()
	late := s.launchSwitch(switchUser, "--wait", "200ms")
	if code := late.wait(); code != 3 || !strings.Contains(late.text(), "no keeper within --wait 200ms") {
		t.Errorf("exit code %d\n%s", code, late.text())
	}
}

// TestContainersKeeperKilled kills the keeper's container, with the watchdog. The switch waits, and the next keeper gives back, because it does
// not hold the address.
func TestContainersKeeperKilled(t *testing.T) {
	s := newSplit(t, "--peer-pid-namespace", "any")
	p := s.startSwitch()
	s.leased()
	s.keeper.signal(syscall.SIGKILL)
	s.keeper.wait()
	p.awaitText("waiting for the keeper")
	p.stop()
	s.startKeeper("--peer-pid-namespace", "any", "--hold-switch", "0s")
	s.awaitAddress("a new keeper", time.Now(), time.Second)
	s.keeper.stop()
}

// TestContainersPacket attaches the guest by a packet socket on a veth.
func TestContainersPacket(t *testing.T) {
	s := newSplit(t, "--peer-pid-namespace", "any", "--guest", "packet:v0")
	s.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450")
	p := s.startSwitch()
	s.leased()
	s.exchangeAll(t, s.guest, s.peer, peerAddress)
	p.stop()
	s.keeper.stop()
}

// TestContainersRefuse checks that the keeper refuses switches of another user or of a foreign process namespace.
func TestContainersRefuse(t *testing.T) {
	s := newSplit(t) // accepts only processes that are visible in its own process namespace
	before := s.pristine()
	for _, c := range []struct {
		what, user string
		args       []string
		code       int
		want       string
	}{
		{"of a foreign process namespace", switchUser, nil, 3, "--peer-pid-namespace any"},
		{"of another user", "108", nil, 3, "connect to the keeper"},
		{"of root", "", nil, 3, "one of the users [107]"},
		{"that wants another user's keeper", switchUser, []string{"--peer-uid", "108"}, 3, "one of the users [108]"},
		{"with a setting of the keeper", switchUser, []string{"--guest", "tap:tap1"}, 2, "--guest cannot be combined with --keeper"},
	} {
		p := s.launchSwitch(c.user, c.args...)
		if code := p.wait(); code != c.code || !strings.Contains(p.text(), c.want) {
			t.Errorf("a switch %s: exit code %d, want %d and %q\n%s", c.what, code, c.code, c.want, p.text())
		}
	}
	for _, why := range []string{"connect with a process in another container (user 107)", "connect with user 0"} {
		s.keeper.awaitText(why)
	}
	if after := s.pristine(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
	s.keeper.stop()
}
