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

// The keeper and the switch in containers of their own: the keeper is root, the switch the user 107 without any capability. Each is
// the first process of a process namespace, and has mounts of its own; they share the pod's network namespace and one folder.

// switchUser is the user that KubeVirt's containers run as.
const switchUser = "107"

// A split is a keeper in its container, for switches in theirs.
type split struct {
	*lab
	socket string // where the keeper listens
	keeper *process
}

// newSplit starts the keeper.
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

// launchSwitch starts a switch as a user.
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

// contained starts a program as the first process of a process namespace with mounts of its own; as a user without capabilities,
// if one is named.
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

// sharedFolder is a folder that every user can look into.
func sharedFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "podswitch-e2e-shared-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestContainers runs one switch after the other, which end in different ways: each time the pod has its address back, and the
// keeper waits for the next one.
func TestContainers(t *testing.T) {
	s := newSplit(t, "--peer-pid-namespace", "any")
	before := s.pristine()
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		p := s.startSwitch()
		s.leased()
		s.guest.must("ping", "-c1", "-W2", peerAddress)
		s.expectConfined(p.cmd.Process.Pid, 1)
		p.signal(end)
		s.awaitAddress(end.String(), time.Now(), time.Second)
		if code := p.wait(); code != 0 && end == syscall.SIGTERM {
			t.Errorf("exit code %d\n%s", code, p.text())
		}
	}
	s.startSwitch()
	s.leased()
	traffic := s.pourBoth()
	next := s.startSwitch("--takeover")
	traffic.end()
	if now := s.status(); now.Takeovers != 1 || now.Holder != "guest" {
		t.Errorf("status %+v", now)
	}
	s.expectConfined(next.cmd.Process.Pid, 1)
	s.keeper.stop()
	if code := next.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, next.text())
	}
	if after := s.pristine(); withoutNeighbours(after) != withoutNeighbours(before) {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// TestContainersKeeperKilled kills the keeper, and with it the watchdog in its container: the kernel leaves nobody of a process
// namespace whose first process has ended. The switch ends, and the next keeper gives back.
func TestContainersKeeperKilled(t *testing.T) {
	s := newSplit(t, "--peer-pid-namespace", "any")
	p := s.startSwitch()
	s.leased()
	s.keeper.signal(syscall.SIGKILL)
	s.keeper.wait()
	if code := p.wait(); code != 1 || !strings.Contains(p.text(), "the keeper has ended") {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
	s.startKeeper("--peer-pid-namespace", "any")
	s.awaitAddress("a new keeper", time.Now(), time.Second)
	s.keeper.stop()
}

// TestContainersPacket attaches a guest's device that the keeper's side has made, by a packet socket.
func TestContainersPacket(t *testing.T) {
	s := newSplit(t, "--peer-pid-namespace", "any", "--guest", "packet:v0")
	s.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450")
	p := s.startSwitch()
	s.leased()
	s.exchangeAll(t, s.guest, s.peer, peerAddress)
	p.stop()
	s.keeper.stop()
}

// TestContainersRefuse lets those connect who must not.
func TestContainersRefuse(t *testing.T) {
	s := newSplit(t) // and only processes that it can see
	before := s.pristine()
	for _, c := range []struct {
		what, user string
		args       []string
		code       int
		says       string
	}{
		{"of a foreign process namespace", switchUser, nil, 3, "a foreign process namespace"},
		{"of another user", "108", nil, 3, "connect to the keeper"},
		{"of root", "", nil, 3, "one of the users [107]"},
		{"that wants another user's keeper", switchUser, []string{"--peer-uid", "108"}, 3, "one of the users [108]"},
		{"with a setting of the keeper", switchUser, []string{"--guest", "tap:tap1"}, 2, "--guest cannot be combined with --keeper"},
	} {
		p := s.launchSwitch(c.user, c.args...)
		if code := p.wait(); code != c.code || !strings.Contains(p.text(), c.says) {
			t.Errorf("a switch %s: exit code %d, want %d and %q\n%s", c.what, code, c.code, c.says, p.text())
		}
	}
	for _, why := range []string{"connect with a process of a foreign process namespace", "connect with user 0"} {
		s.keeper.awaitText(why)
	}
	if after := s.pristine(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
	s.keeper.stop()
}
