package descriptor

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBorrow reads an option of a connection, passes an error of the function on, and reports a closed connection.
func TestBorrow(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	kind := func(fd int) (int, error) { return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE) }
	if got, err := Borrow(c, kind); err != nil || got != unix.SOCK_DGRAM {
		t.Errorf("the type is %d, %v; want %d", got, err, unix.SOCK_DGRAM)
	}
	fault := errors.New("a fault")
	if _, err := Borrow(c, func(int) (int, error) { return 0, fault }); err != fault {
		t.Errorf("the error is %v; want the one of the function", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Borrow(c, func(int) (int, error) { t.Error("called for a closed connection"); return 0, nil }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed connection: %v; want net.ErrClosed", err)
	}
}
