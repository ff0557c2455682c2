package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// program is the podswitch under test, built once for all tests.
var program string

func TestMain(m *testing.M) {
	if role := os.Getenv("E2E_ROLE"); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	os.Exit(runTests(m))
}

// programVariable names a program that is built already, for tests that run others as a user who cannot build.
const programVariable = "E2E_PROGRAM"

// closeInherited sets FD_CLOEXEC on the descriptors that the parent process has left open. Otherwise podswitch would inherit them too, and
// tests that pass descriptors on depend on their numbers.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return err
}

func runTests(m *testing.M) int {
	if err := closeInherited(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if program = os.Getenv(programVariable); program != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "podswitch-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // podswitch is run by other users, too
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	program = filepath.Join(dir, "podswitch")
	build := exec.Command("go", "build", "-o", program, "../cmd/podswitch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped: the sandbox knows the system calls of such a binary
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

// unpack has the programs that must not be installed unpacked, and returns their folder.
var unpack = sync.OnceValues(func() (folder string, err error) {
	cmd := exec.Command("kit/unpacked")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(string(out)), nil
})

// unpacked returns the folder of the programs that must not be installed. It skips the test where the machine cannot have them,
// and says what it lacks.
func unpacked(t *testing.T) (folder string) {
	t.Helper()
	need(t)
	folder, err := unpack()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("kit/unpacked: %v", err)
	}
	return folder
}
