package unixport

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// TestShutDown: Receive returns an error, after which another socket is asked for, when another process has shut the socket down: a stream port
// when its connection has ended.
func TestShutDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for name, open := range map[string]func() (Socket, *File, error){
		"stream": func() (Socket, *File, error) { return Listen(path, -1) },
		"dgram":  func() (Socket, *File, error) { return Bind(path, "", -1) },
	} {
		t.Run(name, func(t *testing.T) {
			s, file, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			other, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(other)
			connected := make(chan struct{}, 1)
			p, err := s.Port(new(vswitch.Counters), Options{Connected: func() { connected <- struct{}{} }})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			type result struct {
				n   int
				err error
			}
			results := make(chan result, 1)
			receive := func() {
				n, err := p.Receive(make([]vswitch.Frame, vswitch.BatchSize))
				results <- result{n, err}
			}
			go receive()
			if name == "stream" {
				peer, err := net.Dial("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				<-connected
				if err := unix.Shutdown(other, unix.SHUT_RDWR); err != nil {
					t.Fatal(err)
				}
				send(t, peer, framed(frame(60, 1)))
				if got := <-results; got.n != 1 || got.err != nil {
					t.Errorf("%+v, want the frame of the connection", got)
				}
				peer.Close()
				go receive()
			} else if err := unix.Shutdown(other, unix.SHUT_RD); err != nil {
				t.Fatal(err)
			}
			if got := <-results; got.n != 0 || got.err == nil || errors.Is(got.err, net.ErrClosed) {
				t.Errorf("%+v, want an error", got)
			}
		})
	}
}
