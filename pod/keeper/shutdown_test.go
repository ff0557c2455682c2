package keeper

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/hypervisor"
)

// TestHoldReplacesSocketsThatAreShutDown: a switch that has shut its sockets down, which its sandbox allows, before or after it ended, neither cuts the
// guest nor the control socket off from the next switch. Peers that wait at a socket that was not shut down go on to wait.
func TestHoldReplacesSocketsThatAreShutDown(t *testing.T) {
	const no = -1
	for _, test := range []struct {
		name string
		how  int // of shutdown(2)
		late bool
	}{
		{"not", no, false}, {"receiving", unix.SHUT_RD, false}, {"sending", unix.SHUT_WR, false}, {"both", unix.SHUT_RDWR, false},
		{"receiving late", unix.SHUT_RD, true}, {"sending late", unix.SHUT_WR, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			cfg := configOf(dir)
			cfg.HoldSwitch, cfg.Switch.Ports[1].Kind = time.Minute, hypervisor.KindStream
			k := newTestKeeperOf(t, dir, cfg, shortTimeouts())
			f, old := k.withFiles(len(cfg.Switch.Ports))
			f.starts(k)
			waiting := dialUnix(t, filepath.Join(dir, "b"))
			shut := func(now bool) {
				for _, fd := range old {
					if now && test.how != no {
						_ = unix.Shutdown(fd, test.how)
					}
				}
			}
			shut(!test.late)
			f.Close()
			k.awaitState(holding)
			dialUnix(t, cfg.Control)
			shut(test.late)
			f, files := k.withFiles(len(cfg.Switch.Ports))
			if test.how == unix.SHUT_RD || test.how == unix.SHUT_RDWR {
				if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("a peer that waits at the old socket receives %v", err)
				}
				dialUnix(t, filepath.Join(dir, "b"))
			}
			dialUnix(t, cfg.Control)
			for _, i := range []int{0, 2} { // the control socket, and the stream
				peer, _, err := unix.Accept4(files[i], unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
				if err != nil {
					t.Fatalf("socket %d accepts no connection: %v", i, err)
				}
				unix.Close(peer)
			}
			checkDatagrams(t, filepath.Join(dir, "a"), files[1])
			f.sends(byeMessage())
			f.receivesEnd("stop")
			k.awaitWaiting()
		})
	}
}

// TestReopenAShutDownSocket: a switch gets another socket for one that is shut down, for example by the switch that it has replaced, and the same one
// for any other.
func TestReopenAShutDownSocket(t *testing.T) {
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.Switch.Ports[1].Kind = hypervisor.KindStream
	k := newTestKeeperOf(t, dir, cfg, shortTimeouts())
	f, files := k.withFiles(len(cfg.Switch.Ports))
	f.starts(k)
	f.sends(reopenMessage(0))
	_, same := f.receives("opened", 1)
	checkDatagrams(t, filepath.Join(dir, "a"), same[0])
	for _, fd := range files[1:] {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
	}
	for port := range cfg.Switch.Ports {
		f.sends(reopenMessage(port))
		m, opened := f.receives("opened", 1)
		if m.Opened.Port != port {
			t.Fatalf("opened %+v, want port %d", m.Opened, port)
		}
		if port == 0 {
			_ = os.Remove(filepath.Join(dir, "a.peer"))
			checkDatagrams(t, filepath.Join(dir, "a"), opened[0])
			continue
		}
		dialUnix(t, filepath.Join(dir, "b"))
		peer, _, err := unix.Accept4(opened[0], unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			t.Fatalf("the socket accepts no connection: %v", err)
		}
		unix.Close(peer)
	}
	f.ends()
	k.awaitWaiting()
}

// withFiles connects a switch that has been sent Begin, and returns it with the descriptors of the control socket and of the ports.
func (k *testKeeper) withFiles(ports int) (f *fake, files []int) {
	f = k.connect()
	f.sends(helloMessage())
	_, files = f.receives("grant", 1)
	for range ports {
		_, opened := f.receives("opened", 1)
		files = append(files, opened...)
	}
	f.sends(readyMessage())
	f.receives("begin", 0)
	return f, files
}

// checkDatagrams checks that a datagram socket with a path receives and sends.
func checkDatagrams(t *testing.T, path string, fd int) {
	t.Helper()
	sender, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	if _, err := sender.Write([]byte("frame")); err != nil {
		t.Errorf("the datagram socket receives nothing: %v", err)
	}
	to := path + ".peer"
	peer, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: to, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if err := unix.Sendto(fd, []byte("frame"), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: to}); err != nil {
		t.Errorf("the datagram socket sends nothing: %v", err)
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
