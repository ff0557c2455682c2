package sandbox

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A child is this test binary, started again to enter the sandbox, which the test itself would not come out of. It is named by
// its first argument, which no flag of a test looks like.
const (
	childPrefix = "child:"
	binaryName  = "sandbox.test"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && len(os.Args[1]) > len(childPrefix) && os.Args[1][:len(childPrefix)] == childPrefix {
		os.Exit(runChild(os.Args[1][len(childPrefix):], os.Args[2:]))
	}
	flag.Bool("update", false, "write the list of system calls in the documents anew")
	os.Exit(withBinary(m))
}

// withBinary puts the binary of the children where every user may execute it.
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

// binaryVariable tells the tests where the binary is.
const binaryVariable = "PODSWITCH_SANDBOX_BINARY"

// makeBinary copies this binary, or builds it without cgo if it was built with it: the race detector needs cgo.
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
