package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Tests of the pod's IPv6 address in a lab. TestPlugins has those of the network plugins.

// IPv6 addresses of a lab.
const (
	podAddress6  = "fd00:10:244:1::7"
	nodeAddress6 = "fd00:10:244:1::1"
	peerAddress6 = "fd00:10:244:1::8"
)

// newDualLab makes a lab whose pod has an address of each IP version.
func newDualLab(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	l.node.enableIPv6()
	l.peer.enableIPv6()
	l.pod.enableIPv6(detects)
	l.guest.enableIPv6(detects)
	l.ends = append(l.ends, ends{podAddress6, peerAddress6})
	l.node.batch("addr add " + nodeAddress6 + "/64 dev cni0 nodad")
	l.peer.batch("addr add "+peerAddress6+"/64 dev eth0 nodad", "route add default via "+nodeAddress6)
	l.pod.batch("addr add "+podAddress6+"/64 dev eth0", "route add default via "+nodeAddress6)
	await(t, "the end of duplicate address detection in the pod", func() error {
		if out := must(t, "ip", "-n", l.pod.name, "-6", "addr", "show", "dev", "eth0"); strings.Contains(out, "tentative") || !strings.Contains(out, "fe80::") {
			return errors.New(out)
		}
		return nil
	})
	await(t, "the pod to reach the peer", func() error { return pings(l.pod, peerAddress6) })
	return l
}

// newLab6 makes a lab whose pod has an IPv6 address alone.
func newLab6(t *testing.T) *lab {
	t.Helper()
	l := newDualLab(t)
	l.pod.batch("-4 addr flush dev eth0")
	l.ends = l.ends[1:]
	return l
}

func (l *lab) hasIPv6() bool {
	return l.ends[len(l.ends)-1].pod == podAddress6
}

// groupsAndSettings returns the multicast groups of the pod interface, and its sysctls.
func (l *lab) groupsAndSettings() string {
	l.t.Helper()
	groups := strings.Split(l.pod.must("ip", "maddr", "show", "dev", "eth0"), "\n")
	slices.Sort(groups)
	settings := l.pod.must("sh", "-c", "cd /proc/sys/net; grep -r '' ipv4/conf/eth0 ipv6/conf/eth0 ipv4/neigh/eth0 ipv6/neigh/eth0 2>/dev/null | sort")
	return strings.Join(groups, "\n") + settings
}

// enableIPv6 makes the namespace's present and future devices have IPv6, and use their addresses at once. The settings of
// further sysctls follow.
func (n namespace) enableIPv6(further ...string) {
	n.t.Helper()
	n.must(append([]string{"sysctl", "-qw", "net.ipv6.conf.default.router_solicitation_delay=0", "net.ipv6.conf.default.accept_dad=0",
		"net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0"}, further...)...)
}

// detects is for enableIPv6 of a pod and of a guest: they detect duplicates of their addresses, as most do.
const detects = "net.ipv6.conf.default.accept_dad=1"

// linkLocal returns the link-local address of a device. It waits until the kernel knows that no other host has it (RFC 4862, section 5.4).
// A device without IPv6 has none.
func (n namespace) linkLocal(device string) (address string) {
	n.t.Helper()
	if strings.TrimSpace(n.must("cat", "/proc/sys/net/ipv6/conf/"+device+"/disable_ipv6")) == "1" {
		return ""
	}
	await(n.t, "a link-local address of "+device, func() error {
		fields := strings.Fields(must(n.t, "ip", "-n", n.name, "-6", "-o", "addr", "show", "dev", device, "scope", "link", "-tentative"))
		if len(fields) < 4 {
			return errors.New("none")
		}
		address, _, _ = strings.Cut(fields[3], "/")
		return nil
	})
	return address
}

// uses6 gives the guest, which is plugged in, an IPv6 address, and waits for its default route by a router advertisement.
func (l *lab) uses6(address string) {
	l.t.Helper()
	l.guest.batch("addr add " + address + "/128 dev tap0 nodad")
	await(l.t, "the guest's default route", func() error {
		if out := must(l.t, "ip", "-n", l.guest.name, "-6", "route", "show", "default"); !strings.Contains(out, "via fe80::") {
			return fmt.Errorf("routes: %q", out)
		}
		return nil
	})
}

// TestIPv6Wire checks what leaves the pod while the guest configures itself and uses its addresses, and the pod interface after the end.
func TestIPv6Wire(t *testing.T) {
	l := newDualLab(t)
	l.reachesPeer()
	l.keepNeighbours()
	before, frames := l.pristine(), l.capture("vpod")
	p := l.podswitch()
	l.leased()
	for _, end := range l.ends {
		l.guest.must("ping", "-c2", "-i0.2", "-W2", end.peer)
		l.peer.must("ping", "-c2", "-i0.2", "-W2", end.pod)
	}
	w := wire{mac: podMAC, addresses: []string{podAddress, podAddress6}, linkLocal: l.pod.linkLocal("eth0")}
	for _, fault := range w.faults(frames()) {
		t.Error(fault)
	}
	p.stop()
	if after := l.pristine(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// TestFamilies checks that --families ipv4 leaves the pod its IPv6 address, with a kernel that answers, and tells the guest nothing of IPv6.
func TestFamilies(t *testing.T) {
	l := newDualLab(t)
	before := must(t, "ip", "-j", "-n", l.pod.name, "-6", "addr", "show", "dev", "eth0")
	p := l.podswitch("--families", "ipv4")
	l.plugGuest()
	heard := l.guest.capture("tap0", "ip6")
	l.udhcpc("tap0")
	l.awaitHolder("guest")
	if during := must(t, "ip", "-j", "-n", l.pod.name, "-6", "addr", "show", "dev", "eth0"); during != before {
		t.Errorf("before %s\nwhile podswitch runs %s", before, during)
	}
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	l.pod.must("ping", "-c1", "-W2", peerAddress6)
	l.peer.must("ping", "-c1", "-W2", podAddress6)
	l.guest.linkLocal("tap0") // it has sent its router solicitations
	if frames := heard(); len(frames) > 0 {
		t.Errorf("the guest received %d frames of IPv6", len(frames))
	}
	if s := l.status(); s.IPv6 != nil {
		t.Errorf("status has IPv6: %+v", *s.IPv6)
	}
	p.stop()
}

// TestMuteIPv6 checks that with --address mute the address stays on the pod interface, and that only the guest answers for it.
func TestMuteIPv6(t *testing.T) {
	l := newDualLab(t)
	before := must(t, "ip", "-j", "-n", l.pod.name, "addr", "show", "dev", "eth0")
	p := l.podswitch("--address", "mute")
	l.leased()
	l.guest.must("ping", "-c1", "-W2", peerAddress6)
	if during := must(t, "ip", "-j", "-n", l.pod.name, "addr", "show", "dev", "eth0"); during != before {
		t.Errorf("before %s\nwhile podswitch runs %s", before, during)
	}
	l.peer.must("ip", "-6", "neigh", "flush", "all")
	if out := l.peer.must("ping", "-c3", "-i0.2", "-W2", podAddress6); strings.Contains(out, "DUP!") || strings.Contains(out, "duplicates") {
		t.Errorf("the pod address is answered twice: %s", out)
	}
	l.guest.batch("link set tap0 down")
	if _, _, code := l.peer.run("ping", "-c1", "-W0.5", podAddress6); code == 0 {
		t.Error("the pod's kernel answers for the address of the guest")
	}
	p.stop()
	l.reachesPeer()
}
