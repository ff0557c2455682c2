package descriptor_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
)

// pair returns a descriptor and its peer.
func pair(t *testing.T) (*descriptor.Descriptor, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	d, err := descriptor.New(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(); unix.Close(fds[1]) })
	return d, fds[1]
}

// read returns an attempt for Receive, and where it stores the bytes.
func read() (try func(fd uintptr) bool, got *string) {
	got = new(string)
	return func(fd uintptr) bool {
		b := make([]byte, 16)
		n, err := unix.Read(int(fd), b)
		if err == unix.EAGAIN {
			return false
		}
		*got = string(b[:max(n, 0)])
		return true
	}, got
}

// TestReceive receives data that is there, and data that arrives after the first attempt.
func TestReceive(t *testing.T) {
	d, peer := pair(t)
	try, got := read()
	tried := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		var once sync.Once
		done <- d.Receive(func(fd uintptr) bool { defer once.Do(func() { close(tried) }); return try(fd) })
	}()
	<-tried
	if _, err := unix.Write(peer, []byte("late")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || *got != "late" {
		t.Errorf("received %q, %v", *got, err)
	}
	if _, err := unix.Write(peer, []byte("early")); err != nil {
		t.Fatal(err)
	}
	if err := d.Receive(try); err != nil || *got != "early" {
		t.Errorf("received %q, %v", *got, err)
	}
}

// TestHangUp: a peer that closes its end is an event without data.
func TestHangUp(t *testing.T) {
	d, peer := pair(t)
	try, got := read()
	tries := 0
	unix.Shutdown(peer, unix.SHUT_RDWR)
	if err := d.Receive(func(fd uintptr) bool { tries++; return try(fd) }); err != nil || *got != "" || tries != 1 {
		t.Errorf("received %q after %d tries, %v", *got, tries, err)
	}
}

// TestDrain waits until the peer has read.
func TestDrain(t *testing.T) {
	d, peer := pair(t)
	write := func(fd uintptr) bool {
		_, err := unix.Write(int(fd), make([]byte, 1000))
		return err != unix.EAGAIN
	}
	full := false
	for !full {
		d.Transmit(func(fd uintptr) { full = !write(fd) })
	}
	tried, done := make(chan struct{}), make(chan error, 1)
	go func() {
		var once sync.Once
		done <- d.Drain(func(fd uintptr) bool { defer once.Do(func() { close(tried) }); return write(fd) })
	}()
	<-tried
	for err := error(nil); err == nil; {
		_, _, err = unix.Recvfrom(peer, make([]byte, 1000), unix.MSG_DONTWAIT)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestClose ends both waits, and every later call returns net.ErrClosed.
func TestClose(t *testing.T) {
	d, _ := pair(t)
	waits := map[string]func(func(uintptr) bool) error{"Receive": d.Receive, "Drain": d.Drain}
	done := make(chan error, 2*len(waits))
	var tried sync.WaitGroup
	for _, wait := range waits {
		tried.Add(1)
		go func() {
			var once sync.Once
			done <- wait(func(uintptr) bool { once.Do(tried.Done); return false })
		}()
	}
	tried.Wait()
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	for range waits {
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a wait ended with %v; want net.ErrClosed", err)
		}
	}
	never := func(uintptr) bool { t.Error("called after Close"); return true }
	for name, wait := range waits {
		if err := wait(never); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if d.Transmit(func(uintptr) { t.Error("called after Close") }) {
		t.Error("Transmit after Close reports true")
	}
}

// TestSpuriousEvents waits on a socket that is shut down for reading, and so always readable: the attempts must not be a busy loop.
func TestSpuriousEvents(t *testing.T) {
	d, peer := pair(t)
	if err := unix.Shutdown(peer, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	tries, start := 0, time.Now()
	err := d.Receive(func(uintptr) bool { tries++; return time.Since(start) > 300*time.Millisecond })
	if err != nil || tries > 100 {
		t.Errorf("%d tries in %v, %v", tries, time.Since(start), err)
	}
}

// TestBadDescriptor: New returns an error that names the system call.
func TestBadDescriptor(t *testing.T) {
	if d, err := descriptor.New(1 << 20); err == nil {
		d.Close()
		t.Error("a number that is no descriptor was taken over")
	}
}
