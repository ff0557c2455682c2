package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the podswitch under test, built once for all tests.
var program string

func TestMain(m *testing.M) {
	if role := os.Getenv("E2E_ROLE"); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "podswitch-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "podswitch")
	build := exec.Command("go", "build", "-o", program, "../cmd/podswitch")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build podswitch:", err)
		return 1
	}
	return m.Run()
}

// need skips a test that cannot run here, and says what would let it.
func need(t *testing.T, tools ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, or unshare -Urnm")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("needs %s: make setup installs it", tool)
		}
	}
}
