package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/pod/podnet"
)

// TestMachineNamespace: run and keeper refuse the machine's own network namespace before they make anything, unless --host allows it, and
// plan warns. The flags name no existing interface, so that nothing can be taken.
func TestMachineNamespace(t *testing.T) {
	if !podnet.IsInitialNamespace() {
		t.Skip("needs the machine's own network namespace, and this is a container's")
	}
	dir := filepath.Join(t.TempDir(), "state")
	pod := []string{"--pod-interface", "nope9", "--guest", "stream:" + filepath.Join(t.TempDir(), "guest"), "--state-dir", dir}
	for _, command := range [][]string{{"run"}, {"keeper", "--listen", filepath.Join(dir, "listen")}} {
		args := slices.Concat(command, pod)
		if _, stderr, code := do(t, "", args...); code != exitMissing || !strings.Contains(stderr, "--host") {
			t.Errorf("%s: exit code %d, %s; want 3 and --host", args, code, stderr)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: %s was made", args, dir)
		}
		args = append(args, "--host")
		if _, stderr, code := do(t, "", args...); code != exitMissing || strings.Contains(stderr, "--host") {
			t.Errorf("%s: exit code %d, %s; want 3 for another reason", args, code, stderr)
		}
		_ = os.RemoveAll(dir)
	}
	for _, host := range []bool{false, true} {
		list := (&runFlags{host: host}).obstacles()
		warns := slices.ContainsFunc(list, func(text string) bool { return strings.Contains(text, "hostNetwork") })
		if warns == host {
			t.Errorf("with --host=%v the warnings are %q", host, list)
		}
	}
}
