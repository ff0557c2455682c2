package dataplane

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/podswitch/podswitch/host/unixsocket/sockettest"
)

// timeout is the time that a test waits for an expected event.
const timeout = 10 * time.Second

// TestMain fails the run when a goroutine outlives its test.
func TestMain(m *testing.M) {
	sockettest.ShortenTempDir()
	flag.Parse()
	fuzzing := false
	flag.Visit(func(f *flag.Flag) { fuzzing = fuzzing || f.Name == "test.fuzz" || f.Name == "test.fuzzworker" })
	goroutines := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 && !fuzzing && !eventually(func() bool { return runtime.NumGoroutine() <= goroutines }) {
		stacks := make([]byte, 1<<20)
		fmt.Printf("leaked goroutines:\n%s\n", stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	os.Exit(code)
}

// eventually waits until condition holds.
func eventually(condition func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(timeout); time.Now().Before(end); <-tick.C {
		if condition() {
			return true
		}
	}
	return false
}

// within returns the next value of c, or fails the test after the timeout.
func within[T any](t testing.TB, what string, c <-chan T) (value T) {
	t.Helper()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case value = <-c:
	case <-timer.C:
		t.Fatalf("timeout: waited for %s", what)
	}
	return value
}

func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
