package sandbox

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/podswitch/podswitch/host/unixsocket/sockettest"
)

// A child is this test binary, started again to enter the sandbox, because the test itself could not leave it. Its first argument selects
// what it does.
const (
	childPrefix = "child:"
	binaryName  = "sandbox.test"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && len(os.Args[1]) > len(childPrefix) && os.Args[1][:len(childPrefix)] == childPrefix {
		os.Exit(runChild(os.Args[1][len(childPrefix):], os.Args[2:]))
	}
	sockettest.ShortenTempDir()
	flag.Bool("update", false, "write the list of system calls into docs/security.md")
	os.Exit(withBinary(m))
}

// withBinary runs the tests after copying the children's binary to a directory where every user may execute it.
func withBinary(m *testing.M) int {
	folder, err := os.MkdirTemp("", "sandbox")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	if err := makeBinary(folder); err != nil {
		fmt.Fprintln(os.Stderr, "the binary of the children:", err)
		return 1
	}
	if err := os.Setenv(binaryVariable, filepath.Join(folder, binaryName)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flag.Parse()
	return m.Run()
}

// binaryVariable is the environment variable with the path of that binary.
const binaryVariable = "PODSWITCH_SANDBOX_BINARY"

// makeBinary copies this binary, or builds it without cgo if it has cgo, as with the race detector.
func makeBinary(folder string) error {
	if err := os.Chmod(folder, 0o755); err != nil {
		return err
	}
	path := filepath.Join(folder, binaryName)
	if withCgo {
		build := exec.Command("go", "test", "-c", "-o", path, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		return build.Run()
	}
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if closeErr := to.Close(); err == nil {
		err = closeErr
	}
	return err
}
