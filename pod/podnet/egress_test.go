package podnet

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEgress checks that the kernel uses a configured way out where the address is taken or muted, and that nothing is left of it without its
// tap.
func TestEgress(t *testing.T) {
	for name, isMuted := range map[string]bool{"taken": false, "muted": true} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			p.ip("addr add 10.244.1.7/24 dev eth0\nroute add default via 10.244.1.1")
			before := p.routes()
			id, err := Discover("eth0", IPv4)
			if err != nil {
				t.Fatal(err)
			}
			e := NewEgress(id, netip.MustParseAddr("169.254.75.11"), MAC{2, 9}, isMuted)
			if err := e.Configure(); err == nil || !strings.Contains(err.Error(), e.Device) {
				t.Errorf("without the tap: %v", err)
			}
			p.ip("link add " + e.Device + " type veth peer name out0\nlink set out0 up") // a tap has no carrier until it is open
			for range 2 {                                                                // a tap that was opened again
				if err := e.Configure(); err != nil {
					t.Fatal(err)
				}
			}
			if !isMuted {
				p.ip("addr del 10.244.1.7/24 dev eth0")
			}
			for _, to := range []string{"8.8.8.8", "192.0.2.1", "10.244.1.1", "10.244.1.200"} {
				if got := p.run("ip", "route", "get", to); !strings.HasPrefix(got, to+" dev "+e.Device+" src 169.254.75.11 ") {
					t.Errorf("%s: %s", to, got)
				}
			}
			if !isMuted { // the routes of the pod interface are preferred
				p.ip("addr add 10.244.1.7/24 dev eth0\nroute add default via 10.244.1.1")
				if got := p.run("ip", "route", "get", "8.8.8.8"); !strings.HasPrefix(got, "8.8.8.8 via 10.244.1.1 dev eth0 ") {
					t.Errorf("given back: %s", got)
				}
			}
			p.ip("link del " + e.Device)
			if after := p.routes(); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// routes returns all routes of the pod.
func (p *pod) routes() string { return p.run("ip", "-4", "route", "show", "table", "all") }

// TestEgressFence checks that a neighbour on the pod interface does not reach the pod at the address of the way out, and that a process of the
// pod and the way out itself do.
func TestEgressFence(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	p.ip("addr add 10.244.1.7/24 dev eth0\nroute add default via 10.244.1.1")
	address := netip.MustParseAddr("169.254.75.11")
	e := NewEgress(p.discover(), address, MAC{2, 9}, false)
	if _, err := e.Fence(); err == nil || !strings.Contains(err.Error(), e.Device) {
		t.Errorf("without the tap: %v", err)
	}
	p.take()
	p.ip("link add " + e.Device + " type veth peer name out0\nlink set out0 up")
	fence, err := e.Fence()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Configure(); err != nil {
		t.Fatal(err)
	}
	server, own := listenUDP(t, "0.0.0.0", 5353), listenUDP(t, "0.0.0.0", 4002)
	frames := newPacketSocket(t)
	n.run("ip", "route", "replace", address.String(), "dev", "node0")
	if n.pings(address.String()) {
		t.Error("a neighbour gets an answer")
	}
	if received, sent := countFrames(t, frames); received == 0 || sent > 0 {
		t.Errorf("the packet socket has received %d frames, and the kernel has sent %d", received, sent)
	}
	n.run("ip", "neigh", "replace", address.String(), "lladdr", "0a:58:0a:f4:01:07", "nud", "permanent", "dev", "node0")
	n.sendUDP(address.String(), 4001, 5353)
	await(t, "the packet socket receives", func() bool { return receivedFrames(t, frames) > 0 })
	if err := unix.Sendto(own, []byte("text"), 0, &unix.SockaddrInet4{Port: 5353, Addr: address.As4()}); err != nil {
		t.Fatal(err)
	}
	var from unix.Sockaddr
	await(t, "a process of the pod reaches the address", func() bool {
		_, from, err = unix.Recvfrom(server, make([]byte, 16), 0)
		return err == nil
	})
	if port := from.(*unix.SockaddrInet4).Port; port != 4002 {
		t.Errorf("a datagram of port %d arrives: the neighbour's", port)
	}
	if err := fence.Close(); err != nil {
		t.Fatal(err)
	}
}
