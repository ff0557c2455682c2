package e2e

import (
	"errors"
	"fmt"
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

// newLab6 makes a lab whose pod has an IPv6 address, and with dual an IPv4 address too.
func newLab6(t *testing.T, dual bool) *lab {
	t.Helper()
	l := newLab(t)
	l.node.enableIPv6()
	l.peer.enableIPv6()
	l.pod.enableIPv6(detects)
	l.guest.enableIPv6(detects)
	l.node.batch("addr add " + nodeAddress6 + "/64 dev cni0 nodad")
	l.peer.batch("addr add "+peerAddress6+"/64 dev eth0 nodad", "route add default via "+nodeAddress6)
	l.pod.batch("addr add "+podAddress6+"/64 dev eth0 nodad", "route add default via "+nodeAddress6)
	if !dual {
		l.pod.batch("-4 addr flush dev eth0")
	}
	l.pod.linkLocal("eth0")
	await(t, "the pod to reach the peer", func() error { return pings(l.pod, peerAddress6) })
	return l
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
