package descriptor_test

import (
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
)

// TestInterrupt ends the present and every later wait to read, and leaves queued data in the kernel; Drain and Transmit work until
// Close.
func TestInterrupt(t *testing.T) {
	d, peer := pair(t)
	shared, err := unix.FcntlInt(uintptr(descriptorOf(d)), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(shared)
	tried, received := make(chan struct{}), make(chan error, 1)
	go func() {
		var once sync.Once
		received <- d.Receive(func(uintptr) bool { once.Do(func() { close(tried) }); return false })
	}()
	<-tried
	drained, draining := make(chan error, 1), make(chan struct{})
	var room sync.Once
	full := fill(d)
	go func() { drained <- d.Drain(func(uintptr) bool { room.Do(func() { close(draining) }); return full() }) }()
	<-draining
	d.Interrupt()
	d.Interrupt()
	if err := <-received; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the waiting Receive: %v; want net.ErrClosed", err)
	}
	if _, err := unix.Write(peer, []byte("kept")); err != nil {
		t.Fatal(err)
	}
	never := func(uintptr) bool { t.Error("tried after Interrupt"); return true }
	if err := d.Receive(never); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive after Interrupt: %v; want net.ErrClosed", err)
	}
	b := make([]byte, 16)
	if n, err := unix.Read(shared, b); err != nil || string(b[:n]) != "kept" {
		t.Errorf("the next reader reads %q, %v", b[:max(n, 0)], err)
	}
	empty(peer)
	if err := <-drained; err != nil {
		t.Errorf("the waiting Drain: %v", err)
	}
	empty(peer)
	if !d.Transmit(func(fd uintptr) { _, err = unix.Write(int(fd), []byte("sent")) }) || err != nil {
		t.Errorf("Transmit after Interrupt: %v", err)
	}
	if n, err := unix.Read(peer, b); err != nil || string(b[:n]) != "sent" {
		t.Errorf("the peer reads %q, %v", b[:max(n, 0)], err)
	}
}

// descriptorOf returns the number of d's file.
func descriptorOf(d *descriptor.Descriptor) (fd int) {
	d.Transmit(func(file uintptr) { fd = int(file) })
	return fd
}

// fill writes until the socket is full, and returns an attempt for Drain, which writes once more.
func fill(d *descriptor.Descriptor) (write func() bool) {
	fd := descriptorOf(d)
	write = func() bool {
		_, err := unix.Write(fd, make([]byte, 1000))
		return err == nil
	}
	for write() {
	}
	return write
}

// empty reads all queued data.
func empty(peer int) {
	for err := error(nil); err == nil; {
		_, _, err = unix.Recvfrom(peer, make([]byte, 1000), unix.MSG_DONTWAIT)
	}
}

// TestInterruptDuringTry interrupts during an attempt: its data is returned, and the next call ends.
func TestInterruptDuringTry(t *testing.T) {
	d, peer := pair(t)
	if _, err := unix.Write(peer, []byte("last")); err != nil {
		t.Fatal(err)
	}
	try, got := read()
	err := d.Receive(func(fd uintptr) bool { d.Interrupt(); return try(fd) })
	if err != nil || *got != "last" {
		t.Errorf("received %q, %v; want what was being read", *got, err)
	}
	if err := d.Receive(try); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the next Receive: %v", err)
	}
}

// TestInterruptIsNoEvent: the eventfd that has ended Receive does not wake a Drain.
func TestInterruptIsNoEvent(t *testing.T) {
	d, peer := pair(t)
	write, tries := fill(d), 0
	d.Interrupt()
	timer := time.AfterFunc(200*time.Millisecond, func() { empty(peer) })
	defer timer.Stop()
	if err := d.Drain(func(uintptr) bool { tries++; return write() }); err != nil || tries > 5 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

// TestWake: Wake causes exactly one more attempt, of a Receive that waits and of one that comes later.
func TestWake(t *testing.T) {
	d, peer := pair(t)
	tries := make(chan int)
	try, got := read()
	done := make(chan error, 1)
	go func() {
		n := 0
		done <- d.Receive(func(fd uintptr) bool { n++; tries <- n; return try(fd) })
	}()
	<-tries
	for want := 2; want < 8; want++ {
		d.Wake()
		if n := <-tries; n != want {
			t.Errorf("try %d, want %d", n, want)
		}
	}
	select {
	case n := <-tries:
		t.Errorf("attempt %d without a Wake", n)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := unix.Write(peer, []byte("now")); err != nil {
		t.Fatal(err)
	}
	<-tries
	if err := <-done; err != nil || *got != "now" {
		t.Errorf("received %q, %v", *got, err)
	}
	for range 300 { // more than an eventfd counts
		d.Wake()
	}
	again := 0
	if err := d.Receive(func(uintptr) bool { again++; return again == 2 }); err != nil || again != 2 {
		t.Errorf("after an early Wake: %d tries, %v", again, err)
	}
}

// TestInterruptBesideClose calls both at once, in every order: no descriptor stays open, and no write reaches a file that has got
// the number of a closed one.
func TestInterruptBesideClose(t *testing.T) {
	before := openFiles(t)
	for range 200 {
		d, peer := pair(t)
		var all sync.WaitGroup
		for _, f := range []func(){d.Interrupt, d.Wake, func() { d.Close() }, d.Interrupt} {
			all.Go(f)
		}
		all.Wait()
		var later [3]int // get the numbers of the closed files
		for i := range later {
			var err error
			if later[i], err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
				t.Fatal(err)
			}
		}
		d.Interrupt()
		d.Wake()
		for _, fd := range later {
			if _, err := unix.Read(fd, make([]byte, 8)); err != unix.EAGAIN {
				t.Fatalf("somebody wrote to a descriptor of others: %v", err)
			}
			unix.Close(fd)
		}
		unix.Shutdown(peer, unix.SHUT_RDWR)
	}
	if after := openFiles(t); after != before+200 { // the peers stay open until the test ends
		t.Errorf("%d files are open, before %d", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
