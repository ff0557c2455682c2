package descriptor_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/host/descriptor/lingertest"
)

// TestInterruptibly closes sockets that linger: one, several in the queue of a unix socket, and one for which a read has no space.
func TestInterruptibly(t *testing.T) {
	pair := func(count int) (receiver int) {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range count {
			fd := lingertest.Socket(t)
			if err := unix.Sendmsg(ends[0], []byte{1}, unix.UnixRights(fd), nil, 0); err != nil {
				t.Fatal(err)
			}
			_ = unix.Close(fd)
		}
		_ = unix.Close(ends[0])
		return ends[1]
	}
	one, several, unread := lingertest.Socket(t), pair(3), pair(1)
	for name, f := range map[string]func() error{
		"one":              func() error { return unix.Close(one) },
		"several":          func() error { return unix.Close(several) },
		"without space":    func() error { _, _, _, _, err := unix.Recvmsg(unread, make([]byte, 1), nil, 0); return err },
		"nothing to await": func() error { return nil },
	} {
		began := time.Now()
		var err error
		descriptor.Interruptibly(func() { err = f() })
		if took := time.Since(began); err != nil || took > 10*time.Second {
			t.Errorf("%s: %v after %s", name, err, took)
		}
	}
	_ = unix.Close(unread)
}
