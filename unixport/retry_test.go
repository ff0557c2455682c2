package unixport

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// failPoll makes poll(2) of more than one descriptor fail with EINVAL, by a limit of one open file (poll(2), ERRORS), until restore or the
// test's end. The number below the limit stays free, because accept(2) needs one.
func failPoll(t *testing.T) (restore func()) {
	t.Helper()
	var limit unix.Rlimit
	stdin := duplicate(t, 0)
	if err := errors.Join(unix.Getrlimit(unix.RLIMIT_NOFILE, &limit), unix.Close(0)); err != nil {
		t.Fatal(err)
	}
	restore = sync.OnceFunc(func() {
		err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
		if err := errors.Join(err, unix.Dup3(stdin, 0, 0), unix.Close(stdin)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(restore)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	return restore
}

// TestAcceptRetry has the wait of a listener fail: the port reports the error, and accepts a later connection.
func TestAcceptRetry(t *testing.T) {
	p := newTestPort(t)
	refused := make(chan error, 64)
	var err error
	p.Port, err = openStream(p.path, p.counters, Options{Refused: func(err error) { refused <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	restore := failPoll(t)
	p.Port.(*filePort).Port.(*streamPort).listener.Wake()
	select {
	case err := <-refused:
		if !errors.Is(err, unix.EINVAL) {
			t.Errorf("told of %v, want EINVAL of poll", err)
		}
	case <-time.After(testTimeout):
		t.Fatal("Refused was not called for the failed wait")
	}
	restore()
	send(t, p.dial(), framed(frame(60, 1)))
	p.run()
	p.wantFrame(frame(60, 1))
	p.wantClosed()
}

// TestCompleteRetry has the wait of completeFrames fail: it tries again, and completes the frame.
func TestCompleteRetry(t *testing.T) {
	fd, conn := socketpair(t, unix.SOCK_STREAM)
	d, err := newDevice(fd)
	if err != nil {
		t.Fatal(err)
	}
	unsent := framed(frame(60, 1))[2:]
	c := newConnection(d, new(vswitch.Counters), handover.Socket{Unsent: unsent, Begun: 60})
	defer c.close()
	tries := make(chan struct{})
	finish, room := c.finish, false
	c.finish = func(fd uintptr) bool {
		tries <- struct{}{}
		if !room {
			room = true
			return false
		}
		return finish(fd)
	}
	failPoll(t)
	ended := make(chan struct{})
	go func() {
		c.completeFrames()
		close(ended)
	}()
	for range 2 {
		select {
		case <-tries:
		case <-ended:
			t.Fatal("completeFrames has ended")
		case <-time.After(testTimeout):
			t.Fatal("completeFrames has not tried")
		}
	}
	got := make([]byte, len(unsent))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, unsent) {
		t.Errorf("read %x, %v; want %x", got, err, unsent)
	}
	c.close()
	<-ended
}
