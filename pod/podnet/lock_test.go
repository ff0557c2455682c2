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
