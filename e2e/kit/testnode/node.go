// Package testnode runs a node of the script e2e/kit/node for tests: namespaces in which podman or a kubelet run as on a machine of their
// own.
//
//	node, err := testnode.Start(folder, "node")
//	defer node.Stop()
//	out, err := node.Run("podman", "ps")
package testnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startTime bounds the start of a node. It suits a busy machine.
const startTime = time.Minute

// A Node is a running node. Its methods may be called from any goroutine.
type Node struct {
	script, folder string
	process        *exec.Cmd
	ended          chan struct{} // closed when the node has ended
	messages       bytes.Buffer  // of the script; complete once ended is closed
}

// Start starts a node with its data in a folder, and waits until it runs. The node ends with the calling process, however that one ends; the
// caller should call Stop, which also removes the node's cgroups.
func Start(folder, hostname string) (*Node, error) {
	root, err := Repository()
	if err != nil {
		return nil, err
	}
	n := &Node{script: filepath.Join(root, "e2e", "kit", "node"), folder: folder, ended: make(chan struct{})}
	n.process = exec.Command(n.script, "run", folder, hostname)
	n.process.Stdout, n.process.Stderr = &n.messages, &n.messages
	n.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig is sent when the thread that has started the process ends
		started <- n.process.Start()
		_ = n.process.Wait() // its error is in the messages
		close(n.ended)
		runtime.UnlockOSThread()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("testnode: %w", err)
	}
	return n, n.await()
}

// await waits until commands can be run in the node.
func (n *Node) await() error {
	deadline := time.After(startTime)
	for {
		out, err := n.Command(context.Background(), "true").CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-n.ended:
			return fmt.Errorf("testnode: ended at its start: %s", n.messages.String())
		case <-deadline:
			return errors.Join(fmt.Errorf("testnode: not up after %s: %s", startTime, out), n.Stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop kills everything in the node and removes its cgroups. The node's data stays.
func (n *Node) Stop() error {
	out, err := exec.Command(n.script, "down", n.folder).CombinedOutput()
	if err != nil {
		return fmt.Errorf("testnode: stop: %w: %s", err, out)
	}
	<-n.ended
	return nil
}

// Command returns a command that runs in the node.
func (n *Node) Command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, n.script, append([]string{"in", n.folder}, args...)...)
}

// Run runs a command in the node and returns its standard output without the last newline. Its error has the standard error.
func (n *Node) Run(ctx context.Context, args ...string) (string, error) {
	cmd := n.Command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return strings.TrimSuffix(out.String(), "\n"), err
}

// Within calls f on a thread that is in the node's network namespace. Sockets that f makes stay there.
func (n *Node) Within(f func() error) error {
	pid, err := os.ReadFile(filepath.Join(n.folder, "pid"))
	if err != nil {
		return fmt.Errorf("testnode: %w", err)
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		result <- within(strings.TrimSpace(string(pid)), f)
	}()
	return <-result
}

func within(pid string, f func() error) error {
	namespace, err := os.Open("/proc/" + pid + "/ns/net")
	if err != nil {
		return fmt.Errorf("testnode: %w", err)
	}
	defer namespace.Close()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("testnode: enter the network namespace: %w", err)
	}
	return f()
}

// Repository returns the top folder of the repository. The working directory of a test is below it.
func Repository() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("testnode: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "e2e", "kit", "node")); err == nil {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", errors.New("testnode: no e2e/kit/node in any folder above this one")
		}
		folder = filepath.Dir(folder)
	}
}
