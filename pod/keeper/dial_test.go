package keeper

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
)

// names gives the running switch a plan with this target.
func (k *testKeeper) names(target string) {
	k.inside(func() {
		k.loop.resources.plan = &plan.Plan{Method: "bridge", KeptPorts: []plan.KeptPort{{Network: "tcp", Port: 80, Target: target}}}
	})
}

// TestDial checks that a switch gets connections to the targets of its plan, and to no others.
func TestDial(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	f := k.running()
	l := loopback(t)
	k.names(l.Addr().String())
	f.sends(dialMessage(7, grant.Kept, 0))
	m, files := f.receives("dialled", 1)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := unix.Write(files[0], []byte("x")); err != nil || m.Dialled.ID != 7 {
		t.Errorf("%+v, %v", m.Dialled, err)
	}
	text := make([]byte, 1)
	if _, err := c.Read(text); err != nil || text[0] != 'x' {
		t.Errorf("%q, %v", text, err)
	}
	for i, d := range []grant.Message{
		dialMessage(0, grant.Kept, 1), dialMessage(1, grant.Kept, -1), dialMessage(2, grant.DNSUDP, 0), dialMessage(3, grant.DNSTCP, 0),
		dialMessage(4, "", 0), dialMessage(5, grant.Service(l.Addr().String()), 0), dialMessage(6, grant.Kept, 1<<31),
	} {
		f.sends(d)
		if m, _ := f.receives("dialled", 0); m.Dialled.ID != uint64(i) || !strings.Contains(m.Dialled.Err, "the plan has no target") {
			t.Errorf("%+v", m.Dialled)
		}
	}
	l.Close()
	f.sends(dialMessage(8, grant.Kept, 0))
	if m, _ := f.receives("dialled", 0); !strings.Contains(m.Dialled.Err, "refused") {
		t.Errorf("%+v", m.Dialled)
	}
	f.ends()
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("needs a loopback interface: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestDialFlood checks the bound of the connections that are being made at once, and that they end with the switch.
func TestDialFlood(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	f := k.running()
	k.names(silentTarget(t))
	before := runtime.NumGoroutine()
	for i := range uint64(2 * maxDials) {
		if err := f.Send(dialMessage(i, grant.Kept, 0)); err != nil {
			t.Fatalf("request %d: %v; %q", i, err, k.ended())
		}
	}
	for i := range uint64(maxDials) {
		if m, _ := f.receives("dialled", 0); m.Dialled.ID != maxDials+i || !strings.Contains(m.Dialled.Err, "too many") {
			t.Fatalf("%+v", m.Dialled)
		}
	}
	// Each connection has a goroutine, and package net starts one more that waits for the end of the context.
	if n := runtime.NumGoroutine() - before; n > 2*maxDials+10 {
		t.Errorf("%d additional goroutines", n)
	}
	f.sends(byeMessage())
	f.receives("stop", 0)
	f.sends(stoppedMessage())
	f.receivesEnd("dialled")
	k.awaitWaiting()
	await(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// silentTarget returns the address of a listener that does not accept, and whose backlog is full: connecting to it never ends.
func silentTarget(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Skipf("needs a loopback interface: %v", err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	target := fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
	for {
		c, err := net.DialTimeout("tcp", target, 100*time.Millisecond)
		if err != nil {
			return target
		}
		t.Cleanup(func() { c.Close() })
	}
}

// TestReopenFlood checks that one goroutine at a time opens a port, and that a bounded number of requests is answered, for any number of requests.
func TestReopenFlood(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	f := k.running()
	before := runtime.NumGoroutine()
	for range 1000 {
		f.sends(reopenMessage(0))
		f.sends(reopenMessage(1))
	}
	f.sends(dialMessage(1, grant.Kept, 0))
	answers := 0
	for name := ""; name != "dialled"; answers++ {
		_ = f.socket.SetReadDeadline(time.Now().Add(testTimeout))
		m, files, err := f.Receive()
		if err != nil {
			t.Fatal(err)
		}
		_ = grant.CloseFiles(files)
		name = m.Name()
	}
	if answers > 4*reopenBurst {
		t.Errorf("%d answers", answers)
	}
	if n := runtime.NumGoroutine() - before; n > 2 {
		t.Errorf("%d additional goroutines", n)
	}
	f.ends()
	k.awaitWaiting()
}

// TestDialFrom checks that the target of a kept port sees the source that the plan names, over TCP and UDP.
func TestDialFrom(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	f := k.running()
	l := loopback(t)
	u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	source := netip.MustParseAddr("127.0.0.9")
	k.inside(func() {
		k.loop.resources.plan = &plan.Plan{Method: "bridge", KeptPorts: []plan.KeptPort{
			{Network: "tcp", Port: 80, Target: l.Addr().String(), Source: source}, {Network: "udp", Port: 80, Target: u.LocalAddr().String(), Source: source}}}
	})
	f.sends(dialMessage(1, grant.Kept, 0))
	f.receives("dialled", 1)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f.sends(dialMessage(2, grant.Kept, 1))
	_, files := f.receives("dialled", 1)
	if _, err := unix.Write(files[0], []byte("x")); err != nil {
		t.Fatal(err)
	}
	_, from, err := u.ReadFromUDPAddrPort(make([]byte, 1))
	if got := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != source || from.Addr() != source || err != nil {
		t.Errorf("TCP from %s, UDP from %s, %v; want %s", got, from.Addr(), err, source)
	}
	f.ends()
}

// TestDialIPv6 checks that a kept port may have a target at ::1, which sees ::1 as the client.
func TestDialIPv6(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("needs a loopback interface with IPv6: %v", err)
	}
	defer l.Close()
	kept, err := plan.ParseKeptPort("tcp/80=" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	k := newTestKeeper(t, shortTimeouts())
	f := k.running()
	k.names(kept.Target)
	f.sends(dialMessage(1, grant.Kept, 0))
	f.receives("dialled", 1)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if from := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); from != netip.IPv6Loopback() {
		t.Errorf("the client is %s, want ::1", from)
	}
	f.ends()
}
