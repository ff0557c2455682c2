package e2e

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Tests of a guest that disappears, returns, starts late, or releases its address.

// TestGuestLeaves checks that the pod stays reachable when the guest's device disappears with its namespace, and that the next guest,
// with another MAC, gets the address.
func TestGuestLeaves(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	p := l.podswitch()
	l.leased()
	first := l.status().Lease.MAC
	must(t, "ip", "netns", "del", l.guest.name)
	p.awaitText("device is back")
	l.awaitHolder("switch")
	l.peer.must("ping", "-c1", "-W2", podAddress)
	must(t, "ip", "netns", "add", l.guest.name)
	l.guest.batch("link set lo up")
	l.leased()
	if second := l.status().Lease.MAC; second == first {
		t.Errorf("the second guest has the MAC of the first one, %s: the test proves nothing", second)
	}
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	p.stop()
	if after := l.snapshot(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// TestShortAbsence checks that a guest whose link is down for less than --hold-after keeps the address and needs no new lease.
func TestShortAbsence(t *testing.T) {
	l := newLab(t)
	l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450 up")
	p := l.podswitch("--guest", "packet:v0", "--hold-after", "1h")
	l.leased()
	l.guest.batch("link set tap0 down")
	await(t, "the switch to notice", func() error {
		if l.pod.must("cat", "/sys/class/net/v0/operstate") == "up\n" {
			return errors.New("v0 is up")
		}
		return nil
	})
	l.guest.batch("link set tap0 up", "route add default via 10.244.1.1")
	await(t, "the guest to be connected again", func() error { return pings(l.guest, peerAddress) })
	await(t, "the guest to be reached", func() error { return pings(l.peer, podAddress) })
	if n := strings.Count(p.text(), "DISCOVER"); n != 1 {
		t.Errorf("podswitch received %d DISCOVERs, want 1", n)
	}
	if strings.Contains(p.text(), `"because": "absent"`) {
		t.Errorf("the guest lost the address:\n%s", p.text())
	}
	p.stop()
}

// TestLateDevice starts podswitch before the guest's device exists.
func TestLateDevice(t *testing.T) {
	l := newLab(t)
	p := l.podswitch("--guest", "packet:v0")
	p.awaitText("not there yet")
	l.peer.must("ping", "-c1", "-W2", podAddress)
	l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450")
	p.awaitText("device is back")
	l.leased()
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	p.stop()
}

// TestLeaseFollowsPort checks that a guest that returns with another MAC gets the address.
func TestLeaseFollowsPort(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	l.leased()
	l.guest.batch("addr flush dev tap0", "link set tap0 down", "link set tap0 address 02:00:00:00:00:42", "link set tap0 up")
	l.udhcpc("tap0")
	if got := l.status().Lease.MAC; got != "02:00:00:00:00:42" {
		t.Errorf("the lease has the MAC %s", got)
	}
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	p.stop()
}

// TestRelease checks that the pod is reachable after the guest has released the address.
func TestRelease(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	l.plugGuest()
	script := write(t, filepath.Join(t.TempDir(), "script"), udhcpcScript, 0o755)
	client := l.guest.start("env", "RESOLV=/dev/null", "udhcpc", "-i", "tap0", "-s", script, "-f", "-R")
	l.awaitHolder("guest")
	// The client removes its address right after it has sent its RELEASE, so it must have resolved the server's MAC before.
	await(t, "the guest to know its gateway", func() error { return pings(l.guest, nodeAddress) })
	client.signal(syscall.SIGTERM)
	client.wait()
	l.awaitHolder("switch")
	p.awaitText("RELEASE")
	l.peer.must("ping", "-c1", "-W2", podAddress)
	p.stop()
}
