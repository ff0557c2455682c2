package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inside calls a function on a thread of its own that is in the namespace; the thread ends with it. Where time is measured, it
// spares the start of a program.
func (n namespace) inside(work func() error) error {
	n.t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and it stays locked: the runtime ends such a thread
		f, err := os.Open(filepath.Join("/run/netns", n.name))
		if err == nil {
			defer f.Close()
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- fmt.Errorf("enter %s: %w", n.name, err)
			return
		}
		done <- work()
	}()
	return <-done
}

// awaitAddress waits until the pod interface has the pod address, and returns how long it took since something happened.
func (l *lab) awaitAddress(what string, since time.Time, limit time.Duration) (took time.Duration) {
	l.t.Helper()
	want := podAddress + "/24"
	err := l.pod.inside(func() error {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for ; ; <-ticker.C {
			has, err := hasAddress("eth0", want)
			took = time.Since(since)
			switch {
			case err != nil:
				return err
			case has:
				return nil
			case took > limit:
				return fmt.Errorf("eth0 has no %s after %s", want, took)
			}
		}
	})
	if err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
	return took
}

func hasAddress(device, want string) (bool, error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return false, err
	}
	addresses, err := link.Addrs()
	for _, a := range addresses {
		if a.String() == want {
			return true, nil
		}
	}
	return false, err
}

// TestInside checks that the thread is where it is to be, and that the rest of the program is not.
func TestInside(t *testing.T) {
	l := newLab(t)
	if err := l.pod.inside(func() error {
		has, err := hasAddress("eth0", podAddress+"/24")
		if !has && err == nil {
			err = fmt.Errorf("eth0 has not %s", podAddress)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if has, _ := hasAddress("eth0", podAddress+"/24"); has {
		t.Error("the rest of the program is in the pod's namespace, too")
	}
}
