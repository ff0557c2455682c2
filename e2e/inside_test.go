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

// inside calls a function on a new thread in the namespace. It is faster than starting a program there, which matters where a test
// measures time.
func (n namespace) inside(work func() error) error {
	n.t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
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

// awaitAddress waits until the pod interface has the pod address, and returns the time since the event that what names. It fails the test
// after limit.
func (l *lab) awaitAddress(what string, since time.Time, limit time.Duration) (took time.Duration) {
	l.t.Helper()
	want := podAddress + "/24"
	if l.ends[0].pod == podAddress6 {
		want = podAddress6 + "/64"
	}
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

// TestInside checks that inside changes the namespace of its own thread only.
func TestInside(t *testing.T) {
	l := newLab(t)
	if err := l.pod.inside(func() error {
		has, err := hasAddress("eth0", podAddress+"/24")
		if !has && err == nil {
			err = fmt.Errorf("eth0 does not have %s", podAddress)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if has, _ := hasAddress("eth0", podAddress+"/24"); has {
		t.Error("another thread of the program is in the pod's namespace too")
	}
}
