package podnet

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
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

// TestEgressFenceGroups checks that what a neighbour sends to many hosts, or to an address of another interface, does not reach the pod's processes
// on the pod interface, whose answers would leave by the way out; and that messages to a DHCP client and to an address of the interface do.
func TestEgressFenceGroups(t *testing.T) {
	for _, muted := range []bool{false, true} {
		for _, looksUp := range []bool{true, false} {
			t.Run(fmt.Sprintf("muted %t, looks addresses up %t", muted, looksUp), func(t *testing.T) {
				p := newPod(t)
				n := p.newNode("10.244.1.1/24")
				p.ip("addr add 10.244.1.7/24 dev eth0\naddr add 10.244.1.9/24 dev eth0")
				n.run("ip", "route", "add", "default", "dev", "node0")
				e := NewEgress(p.discover(), netip.MustParseAddr("169.254.75.11"), MAC{2, 9}, muted)
				p.ip("link add " + e.Device + " type veth peer name out0\nlink set out0 up\naddr add 192.168.5.2/24 dev out0")
				far := []string{"255.255.255.255", "224.0.0.1"}
				if muted {
					far = append(far, "10.244.1.255")
				} else {
					p.take()
				}
				if looksUp {
					far = append(far, "192.168.5.2")
				}
				server, client := listenUDP(t, "0.0.0.0", 5353), listenUDP(t, "0.0.0.0", 68)
				arrives := func(to string) bool {
					n.sendUDP(to, 4001, 5353)
					n.sendUDP("255.255.255.255", 67, 68) // behind the other one
					await(t, "a message to a DHCP client arrives", func() bool { return receivesUDP(client) })
					return receivesUDP(server)
				}
				for _, to := range far {
					await(t, to+" arrives without a fence", func() bool { return arrives(to) })
				}
				for receivesUDP(server) {
				}
				p.fence(e, looksUp)
				if err := e.Configure(); err != nil {
					t.Fatal(err)
				}
				for _, to := range far {
					if arrives(to) {
						t.Errorf("%s arrives", to)
					}
				}
				if muted {
					await(t, "an address of the interface is reached", func() bool { return arrives("10.244.1.9") })
				}
			})
		}
	}
}

// fence adds the tables of e.Fence, for a kernel that can look addresses up or cannot.
func (p *pod) fence(e *Egress, looksUp bool) {
	p.t.Helper()
	fence, err := e.Fence()
	if err != nil {
		p.t.Fatal(err)
	}
	if !looksUp {
		link, err := netlink.LinkByName(e.Device)
		if err := errors.Join(err, fence.Close()); err != nil {
			p.t.Fatal(err)
		}
		if fence, err = e.addFence(Link{Name: e.Device, Index: link.Attrs().Index}, e.groupsAndBroadcasts()); err != nil {
			p.t.Fatal(err)
		}
	}
	p.t.Cleanup(func() { _ = fence.Close() })
}

// TestEgressLearnsNothing checks that the kernel takes up no route and no address from router advertisements of the switch: by the setting alone,
// and by the fence alone, which has to do where the setting cannot be written.
func TestEgressLearnsNothing(t *testing.T) {
	for name, hasFence := range map[string]bool{"by the setting": false, "by the fence": true} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			p.ip("addr add 10.244.1.7/24 dev eth0")
			e := NewEgress(p.discover(), netip.MustParseAddr("169.254.75.11"), MAC{2, 9}, false)
			p.ip("link add " + e.Device + " type veth peer name out0\nlink set out0 addrgenmode none up")
			if hasFence {
				fence, err := e.Fence()
				if err != nil {
					t.Fatal(err)
				}
				defer fence.Close()
			}
			isDisabled := "net/ipv6/conf/" + e.Device + "/disable_ipv6"
			p.sysctl(isDisabled, "0")
			if err := e.Configure(); err != nil {
				t.Fatal(err)
			}
			if hasFence {
				p.sysctl(isDisabled, "0")
			} else if value := p.readSysctl(isDisabled); value != "1" {
				t.Errorf("%s is %s", isDisabled, value)
			}
			frames := newPacketSocketFor(t, unix.ETH_P_IPV6)
			for range 2 { // when the second one arrives, the kernel has handled the first one
				sendAdvertisement(t, p.link("out0").Index)
				await(t, "the advertisement to arrive", func() bool { return receivesAdvertisement(frames) })
			}
			if routes := p.run("ip", "-6", "route", "show", "dev", e.Device); strings.Contains(routes, "2001:db8:") || strings.Contains(routes, "default") {
				t.Errorf("the kernel has the routes\n%s", routes)
			}
		})
	}
}

// receivesAdvertisement reports whether a packet socket has one, and reads what waits before it.
func receivesAdvertisement(fd int) bool {
	frame := make([]byte, 128)
	for {
		n, from, err := unix.Recvfrom(fd, frame, 0)
		if err != nil {
			return false
		}
		if sender, ok := from.(*unix.SockaddrLinklayer); ok && sender.Pkttype != unix.PACKET_OUTGOING && n > 54 && frame[54] == 134 {
			return true
		}
	}
}

// sendAdvertisement sends a router advertisement of a prefix and a default route.
func sendAdvertisement(t *testing.T, link int) {
	t.Helper()
	text := "333300000001" + "020000000009" + "86dd" +
		"6000000000303aff" + "fe800000000000000000000000000099" + "ff020000000000000000000000000001" +
		"86001d10" + "40002328" + "0000000000000000" +
		"030440c00001518000003840" + "00000000" + "20010db8000000000000000000000000"
	frame, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link}); err != nil {
		t.Fatal(err)
	}
}
