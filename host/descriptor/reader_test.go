package descriptor

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReader: attempts go on until one has items or an error, wait only where they say so, and an Interrupt ends them.
func TestReader(t *testing.T) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[1])
	d, err := New(ends[0])
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	again, fault := 2, errors.New("a fault")
	r := NewReader(d, func(fd uintptr, into []byte) (int, bool, error) {
		if again--; again >= 0 {
			return 0, false, nil
		}
		n, err := unix.Read(int(fd), into)
		if err == unix.EAGAIN {
			return 0, true, nil
		}
		if n == 1 {
			return 0, false, fault
		}
		return n, false, err
	})
	buffer := make([]byte, 8)
	for _, test := range []struct {
		text string
		n    int
		err  error
	}{{"three", 5, nil}, {"!", 0, fault}} {
		if _, err := unix.Write(ends[1], []byte(test.text)); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Receive(buffer); n != test.n || err != test.err || string(buffer[:n]) != test.text[:n] {
			t.Errorf("received %q, %v; want %d bytes of %q, %v", buffer[:n], err, test.n, test.text, test.err)
		}
	}
	d.Interrupt()
	if n, err := r.Receive(buffer); n != 0 || err != net.ErrClosed {
		t.Errorf("after Interrupt: %d, %v; want net.ErrClosed", n, err)
	}
}
