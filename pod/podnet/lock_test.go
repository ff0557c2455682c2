package podnet

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/podswitch/podswitch/host/missing"
)

func TestOneProcessHoldsTheLock(t *testing.T) {
	dir := t.TempDir()
	first, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Lock(dir)
	wantError(t, err, ErrLocked, dir, fmt.Sprintf("process %d ", os.Getpid()), "--state-dir")
	if lacks := (*missing.Error)(nil); !errors.As(err, &lacks) {
		t.Errorf("%T is no *missing.Error", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := Lock(dir)
	if err != nil {
		t.Fatalf("after the first one was closed: %v", err)
	}
	second.Close()
}

func TestLockErrorWithoutAProcessID(t *testing.T) {
	dir := t.TempDir()
	first, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := os.Truncate(dir+"/"+lockName, 0); err != nil {
		t.Fatal(err)
	}
	_, err = Lock(dir)
	wantError(t, err, ErrLocked, "another process")
}

// TestLockOwner: the number of a process is only shown where it means something.
func TestLockOwner(t *testing.T) {
	for _, c := range []struct {
		text, want string
	}{
		{"", "another process"},
		{"x 4\n", "another process"},
		{"4711      \n", "process 4711"},
		{"4711       4026531836\n", "process 4711"},
		{"4711       0         \n", "process 4711"},
		{"1          4026532251\n", "podswitch in another container"},
		{"4711      \n4026532251\n", "process 4711"}, // an earlier podswitch has overwritten the first line
	} {
		if got := lockOwner([]byte(c.text), 4026531836); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
	if namespace := processNamespace(); namespace == 0 {
		t.Error("the process namespace of the test is not known")
	}
}
