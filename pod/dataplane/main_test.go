package dataplane

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// TestMain fails the run when a goroutine outlives its test.
func TestMain(m *testing.M) {
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
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if condition() {
			return true
		}
	}
	return false
}

// within returns what comes out of c before long.
func within[T any](t testing.TB, what string, c <-chan T) (value T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case value = <-c:
	case <-timer.C:
		t.Fatalf("waited in vain for %s", what)
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
