//go:build kubernetes

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/podswitch/podswitch/e2e/kit/testnode"
)

// A node is a node of kit/node, which ends with the test, and also if this process is killed.
type node struct {
	*testnode.Node
	t      *testing.T
	name   string // its host name
	folder string // its data
	pid    int    // its first process
}

func startNode(t *testing.T, name string) *node {
	t.Helper()
	n := &node{t: t, name: name, folder: filepath.Join(t.TempDir(), name)}
	err := os.Mkdir(n.folder, 0o755)
	if err == nil {
		n.Node, err = testnode.Start(n.folder, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	text, err := os.ReadFile(filepath.Join(n.folder, "pid"))
	if err == nil {
		n.pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// try runs a command in the node and returns its output.
func (n *node) try(args ...string) (string, error) { return n.Run(context.Background(), args...) }

func (n *node) run(args ...string) string {
	n.t.Helper()
	out, err := n.try(args...)
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

// ask makes a request from within the node, and fails unless the answer is a success.
func (n *node) ask(url string) error {
	_, err := n.try("curl", "--silent", "--fail", "--max-time", "5", url)
	return err
}

// address gives the node an address. It is on a bridge, because the kernel may have no device that is a better fit (dummy).
func (n *node) address(address string) {
	n.t.Helper()
	n.run("sh", "-ec", "ip link add node0 type bridge; ip addr add "+address+"/24 dev node0; ip link set node0 up; ip route add default via 172.31.0.1")
}

// connect joins the bridges of two nodes.
func (n *node) connect(t *testing.T, other *node) {
	t.Helper()
	space, err := netnsOf(n.pid)
	if err != nil {
		t.Fatal(err)
	}
	defer space.file.Close()
	err = space.do(func() error {
		return exec.Command("ip", "link", "add", "to-"+other.name, "type", "veth", "peer", "name", "to-"+n.name, "netns", strconv.Itoa(other.pid)).Run()
	})
	if err != nil {
		t.Fatal(err)
	}
	n.run("ip", "link", "set", "to-"+other.name, "master", "node0", "up")
	other.run("ip", "link", "set", "to-"+n.name, "master", "node0", "up")
}

// start runs a program in the node until the node ends. The end of its output is shown if the test fails.
func (n *node) start(name string, args ...string) {
	n.t.Helper()
	file := filepath.Join(n.folder, name+".log")
	log, err := os.Create(file)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	cmd := n.Command(context.Background(), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	n.t.Cleanup(func() {
		if n.t.Failed() {
			out, _ := exec.Command("tail", "-n", "15", file).Output()
			n.t.Logf("the end of the output of %s:\n%s", name, out)
		}
	})
}

// path returns where a file of the node is for this process.
func (n *node) path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s", n.pid, name)
}

func (n *node) write(name, text string) {
	n.t.Helper()
	path := n.path(name)
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600))
	if err != nil {
		n.t.Fatal(err)
	}
}
