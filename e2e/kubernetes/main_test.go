//go:build kubernetes

package kubernetes

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// timeout bounds the wait for an event that must happen. It suits a busy machine.
const timeout = 2 * time.Minute

// TestKubernetes runs all tests in one cluster, in an order in which a pod serves several of them.
func TestKubernetes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	p := findParts(t)
	var left trace
	before := readSettings()
	t.Run("Cluster", func(t *testing.T) {
		c := startCluster(t, p)
		left = c.node.trace(before)
		t.Run("Manifests", c.testManifests)
		t.Run("PodSecurity", c.testPodSecurity)
		c.startController("kube-scheduler")
		c.addWorker(c.node, nodeAddress, "10.244.3.0-24")
		t.Run("Sidecars", c.testSidecars)
		t.Run("Delete", c.testDelete)
		t.Run("Single", c.testSingle)
		t.Run("Deployment", c.testDeployment)
		t.Run("TwoNodes", c.testTwoNodes)
	})
	left.check(t)
}

// parts are the absolute paths of what the cluster is made of.
type parts struct {
	kit      string // e2e/kit
	programs string // the folder of Kubernetes' programs
	flannel  string
	images   string // the folder of the images of the tests
	switches string // the archive of podswitch's image
	deploy   string // the folder of the manifests
}

// findParts builds what is missing. The test is skipped if the machine cannot build it.
func findParts(t *testing.T) (p parts) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	p = parts{kit: filepath.Join(root, "e2e/kit"), deploy: filepath.Join(root, "deploy"), switches: filepath.Join(root, "bin/podswitch-image.tar")}
	p.programs = script(t, "./build")
	p.images = script(t, "./images")
	p.flannel = filepath.Join(script(t, filepath.Join(p.kit, "tools")), "flannel")
	if _, err := os.Stat(p.switches); err != nil {
		t.Fatalf("%v: run make image", err)
	}
	return p
}

// script runs a script and returns its output. The test is skipped if the script says that the machine lacks something.
func script(t *testing.T, path string) string {
	t.Helper()
	cmd := exec.Command(path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		t.Skipf("%s: the machine lacks something", path)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return strings.TrimSpace(string(out))
}

// await polls until condition returns nil, and returns how long that took.
func await(t *testing.T, what string, condition func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := condition()
		took := time.Since(began)
		if err == nil {
			return took
		}
		if took > timeout {
			t.Fatalf("waited %s for %s: %v", timeout, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
