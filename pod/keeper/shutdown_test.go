package keeper

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/hypervisor"
)

// TestHoldReplacesSocketsThatAreShutDown: a switch that has shut its sockets down before it ended, which its sandbox allows, neither cuts the guest
// nor the control socket off from the next switch. Peers that wait at a socket that was not shut down go on to wait.
func TestHoldReplacesSocketsThatAreShutDown(t *testing.T) {
	for _, isShut := range []bool{false, true} {
		t.Run(fmt.Sprint(isShut), func(t *testing.T) {
			dir := t.TempDir()
			cfg := configOf(dir)
			cfg.HoldSwitch, cfg.Switch.Ports[1].Kind = time.Minute, hypervisor.KindStream
			k := newTestKeeperOf(t, dir, cfg, shortTimeouts())
			admitted := func() (f *fake, files []int) {
				f = k.connect()
				f.sends(helloMessage())
				_, files = f.receives("grant", 1)
				for range cfg.Switch.Ports {
					_, opened := f.receives("opened", 1)
					files = append(files, opened...)
				}
				f.sends(readyMessage())
				f.receives("begin", 0)
				return f, files
			}
			f, old := admitted()
			f.starts(k)
			waiting := dialUnix(t, filepath.Join(dir, "b"))
			for _, fd := range old {
				if isShut {
					_ = unix.Shutdown(fd, unix.SHUT_RD)
				}
			}
			f.Close()
			k.awaitState(holding)
			if isShut {
				if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("a peer that waits at the old socket receives %v", err)
				}
				dialUnix(t, filepath.Join(dir, "b"))
			}
			dialUnix(t, cfg.Control)
			f, files := admitted()
			for _, i := range []int{0, 2} { // the control socket, and the stream
				peer, _, err := unix.Accept4(files[i], unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
				if err != nil {
					t.Fatalf("socket %d accepts no connection: %v", i, err)
				}
				unix.Close(peer)
			}
			sender, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: filepath.Join(dir, "a"), Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer sender.Close()
			if _, err := sender.Write([]byte("frame")); err != nil {
				t.Errorf("the datagram socket receives nothing: %v", err)
			}
			f.sends(byeMessage())
			f.receivesEnd("stop")
			k.awaitWaiting()
		})
	}
}

// dialUnix connects to a stream socket for the rest of the test.
func dialUnix(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	return c
}
