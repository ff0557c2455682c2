package stack

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/refs"
)

// timeout is the time that a test waits for an expected event.
const timeout = 10 * time.Second

// TestMain fails the run when a packet of netstack or a goroutine outlives its test.
func TestMain(m *testing.M) {
	refs.SetLeakMode(refs.LeaksPanic)
	before := runtime.NumGoroutine()
	code := m.Run()
	if fuzzing := flag.Lookup("test.fuzz"); fuzzing != nil && fuzzing.Value.String() != "" {
		os.Exit(code) // the fuzzer's own goroutines go on
	}
	if code == 0 && !eventually(func() bool { return runtime.NumGoroutine() <= before }) {
		stacks := make([]byte, 1<<20)
		fmt.Printf("leaked goroutines:\n%s\n", stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	if code == 0 {
		refs.DoLeakCheck()
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
func within[T any](t testing.TB, c <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(timeout):
		t.Fatal("timeout")
	}
	return value
}

// await waits until condition holds, or fails the test after the timeout.
func await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if !eventually(condition) {
		t.Fatalf("timeout: waited for %s", what)
	}
}
