package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A testNode is a node of the commands of kit/node. Package testnode has nodes for tests of what runs in them.
type testNode struct {
	t      *testing.T
	folder string
}

func newNode(t *testing.T, hostname string) testNode {
	t.Helper()
	need(t, "catatonit", "findmnt", "nsenter", "unshare")
	n := testNode{t, filepath.Join(sharedFolder(t), "node")}
	n.control("up", n.folder, hostname)
	t.Cleanup(func() { n.control("down", n.folder) })
	return n
}

func (n testNode) control(args ...string) string {
	n.t.Helper()
	out, err := exec.Command("kit/node", args...).CombinedOutput()
	if err != nil {
		n.t.Errorf("kit/node %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// cgroups returns the directories on the machine that are the node's cgroups.
func (n testNode) cgroups() (list []string) {
	n.t.Helper()
	text, err := os.ReadFile(filepath.Join(n.folder, "cgroups"))
	if err != nil {
		n.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		list = append(list, dir)
	}
	return list
}

// TestNodes runs two nodes at once. A process that runs in one of them ends with it, its cgroups disappear, and the other one goes on.
func TestNodes(t *testing.T) {
	one, two := newNode(t, "one"), newNode(t, "two")
	for _, n := range []testNode{one, two} {
		n.control("in", n.folder, "sh", "-c", "hostname >/etc/mark; hostname >/var/lib/mark; hostname >/run/mark; hostname >/dev/shm/mark; hostname >/var/lib/kubelet/mark")
		n.control("in", n.folder, "sh", "-c", "for c in /sys/fs/cgroup/*/; do mkdir -p $c/pods/mark; done")
	}
	if got := one.control("in", one.folder, "cat", "/etc/mark", "/var/lib/mark", "/run/mark", "/dev/shm/mark", "/var/lib/kubelet/mark"); got != "one\none\none\none\none" {
		t.Errorf("the marks of the first node: %q", got)
	}
	for _, path := range []string{"/etc/mark", "/var/lib/mark", "/run/mark", "/dev/shm/mark", "/var/lib/kubelet/mark"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("the machine has %s, which a node made", path)
		}
	}
	inside := start(t, "kit/node", "in", one.folder, "sh", "-c", "hostname; exec sleep infinity")
	inside.awaitText("one")
	cgroups := append(one.cgroups(), two.cgroups()...)
	for _, dir := range cgroups {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
	one.control("down", one.folder)
	if code := inside.wait(); code == 0 {
		t.Error("the process in the node ended with exit code 0")
	}
	if got := two.control("in", two.folder, "hostname"); got != "two" {
		t.Errorf("the other node's host name is %q", got)
	}
	two.control("down", two.folder)
	for _, dir := range cgroups {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s remains", dir)
		}
	}
}

// TestNodeEndsWithItsProcess kills the process in whose foreground a node runs.
func TestNodeEndsWithItsProcess(t *testing.T) {
	n := newNode(t, "node")
	n.control("down", n.folder)
	foreground := start(t, "kit/node", "run", n.folder)
	awaitFor(t, timeout, "the node", func() error {
		_, err := os.Stat(filepath.Join(n.folder, "pid"))
		return err
	})
	inside := start(t, "kit/node", "in", n.folder, "sh", "-c", "hostname; exec sleep infinity")
	inside.awaitText("node")
	foreground.signal(syscall.SIGKILL)
	inside.wait()
}
