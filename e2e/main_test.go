package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
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

// programVariable is the environment variable with the path of a podswitch that is built already. TestRootless sets it for the tests that
// it runs as a user without a Go build cache.
const programVariable = "E2E_PROGRAM"

// closeInherited sets FD_CLOEXEC on the descriptors that the parent process has left open. podswitch would inherit them otherwise, and
// tests that pass descriptors depend on their numbers.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return err
}

// catchIgnored installs a handler for the signals that the parent process ignores, as nohup(1) and the shell's background jobs do. A child
// inherits an ignored signal as ignored, but a caught one with its default action (execve(2)); podswitch respects ignored signals.
func catchIgnored() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

// longestTemp is the number of bytes that the path of the temporary directory may have, so that a socket in a directory of socketDir has a
// path of at most 107 bytes (unix(7)).
const longestTemp = 60

// makeTempDir makes a directory in which every user may create files, as in /tmp, and makes it the temporary directory of the tests: some
// tests run podswitch as other users. It is in the present temporary directory if possible, and else in /tmp.
func makeTempDir() (dir string, err error) {
	parent := os.TempDir()
	if len(parent) > longestTemp || !isPublic(parent) {
		parent = "/tmp"
	}
	if dir, err = os.MkdirTemp(parent, "psw-"); err != nil {
		return "", err
	}
	return dir, errors.Join(os.Chmod(dir, 0o777|os.ModeSticky), os.Setenv("TMPDIR", dir))
}

// isPublic reports whether every user may enter a directory.
func isPublic(dir string) bool {
	for filepath.IsAbs(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == "/" {
			return true
		}
		dir = filepath.Dir(dir)
	}
	return false
}

// socketDir makes a directory with a short path for the sockets of a test. The path of testing.T.TempDir has the name of the test, and may
// be too long.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func runTests(m *testing.M) int {
	catchIgnored()
	unix.Umask(0o022) // other users read files and run programs of the tests
	if err := closeInherited(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if program = os.Getenv(programVariable); program != "" {
		return m.Run()
	}
	dir, err := makeTempDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "podswitch")
	build := exec.Command("go", "build", "-o", program, "../cmd/podswitch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // the sandbox allows the system calls of a static binary, as releases are
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build podswitch:", err)
		return 1
	}
	return m.Run()
}

// need skips a test without root, and fails it if a tool is not installed.
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

// unpack runs kit/unpacked once, and returns the directory with programs that cannot be installed beside the machine's own.
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

// unpacked is unpack for a test. It skips the test with the script's message if the machine cannot unpack the programs.
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
