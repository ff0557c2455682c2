package keeper

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/podswitch/podswitch/host/unixsocket/sockettest"
	"github.com/podswitch/podswitch/tap"
)

// testTimeout is how long a test waits for an event.
const testTimeout = 10 * time.Second

// Environment variables: insideVariable marks a process with a network namespace of its own, roleVariable the process of a switch.
const (
	insideVariable = "PODSWITCH_TEST_INSIDE"
	roleVariable   = "PODSWITCH_TEST_ROLE"
)

// TestMain runs the tests in a process with a network namespace of its own, if it is root: a thread is not enough, because the
// goroutines of a keeper run on any thread. It fails the run if a goroutine outlives the tests.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(playSwitch(role))
	}
	sockettest.ShortenTempDir()
	flag.Parse()
	fuzzing := false
	flag.Visit(func(f *flag.Flag) { fuzzing = fuzzing || f.Name == "test.fuzz" || f.Name == "test.fuzzworker" })
	if fuzzing {
		os.Exit(m.Run()) // the goroutines of the fuzzer outlive the tests
	}
	if os.Geteuid() == 0 && os.Getenv(insideVariable) == "" {
		os.Exit(runInside())
	}
	if os.Getenv(insideVariable) != "" {
		if _, err := tap.SetUp("lo"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goroutines := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 && !eventually(func() bool { return runtime.NumGoroutine() <= goroutines }) {
		stacks := make([]byte, 1<<20)
		fmt.Printf("leaked goroutines:\n%s\n", stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	os.Exit(code)
}

// runInside runs this program in a new network namespace, which ends with the process.
func runInside() int {
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Args[0] = os.Args[0]
	c.Env = append(os.Environ(), insideVariable+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := c.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return c.ProcessState.ExitCode()
}

// eventually waits until condition holds, and reports whether it does within testTimeout.
func eventually(condition func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(testTimeout); time.Now().Before(end); <-tick.C {
		if condition() {
			return true
		}
	}
	return false
}

// await fails the test unless condition holds within testTimeout.
func await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if !eventually(condition) {
		t.Fatalf("timeout: waiting for %s", what)
	}
}

// within returns the next value of c, and fails the test if there is none within testTimeout.
func within[T any](t testing.TB, what string, c <-chan T) (value T) {
	t.Helper()
	timer := time.NewTimer(testTimeout)
	defer timer.Stop()
	select {
	case value = <-c:
	case <-timer.C:
		t.Fatalf("timeout: waiting for %s", what)
	}
	return value
}
