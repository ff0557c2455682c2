// Package podman_test builds podswitch's image, and runs the manifests of deploy as pods of podman with a real guest. It needs root.
package podman_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podswitch/podswitch/e2e/kit/testnode"
)

// timeout bounds the wait for an event that must happen. It suits a busy machine.
const timeout = time.Minute

// The node of all tests, on which nothing of the machine's podman can be seen, and the images that were loaded into it.
var (
	node    *testnode.Node
	work    string // a folder for files of the tests
	archive string // podswitch's image
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "podman:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if os.Geteuid() != 0 {
		fmt.Println("skipped: needs root, for a node of namespaces")
		return 0, nil
	}
	for _, tool := range []string{"podman", "crun", "catatonit", "qemu-system-x86_64", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			return 0, fmt.Errorf("needs %s: e2e/kit/setup --containers installs it", tool)
		}
	}
	if work, err = os.MkdirTemp("", "podswitch-podman-"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if node, err = testnode.Start(filepath.Join(work, "node"), "node"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, node.Stop()) }()
	stop := stopWhenInterrupted()
	defer stop()
	archive = filepath.Join(work, "podswitch.tar")
	if err := build(archive); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// stopWhenInterrupted leaves nothing behind when the tests are interrupted in a terminal.
func stopWhenInterrupted() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; ok {
			fmt.Fprintln(os.Stderr, "interrupted:", errors.Join(node.Stop(), os.RemoveAll(work)))
			os.Exit(1)
		}
	}()
	return func() { signal.Stop(signals); close(signals) }
}

// build builds both images in the node. A machine that cannot run podman fails here.
func build(archive string) error {
	root, err := testnode.Repository()
	if err != nil {
		return err
	}
	for _, command := range [][]string{{filepath.Join(root, "deploy", "image"), archive}, {filepath.Join(root, "e2e", "kit", "qemu-image")}} {
		if _, err := node.Run(context.Background(), command...); err != nil {
			return err
		}
	}
	return nil
}

// inNode runs a command in the node, fails the test unless it succeeds, and returns its output.
func inNode(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	out, err := node.Run(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// git returns the output of a git command in the repository.
func git(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", args...).Output()
	if err != nil {
		t.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}
