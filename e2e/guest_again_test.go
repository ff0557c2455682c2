package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/e2e/kit/guest"
)

// TestGuestAgain kills QEMU and starts it again while podswitch keeps running. The guest releases nothing, and the next boot knows nothing
// of the previous lease. Each boot gets the address again and moves data.
func TestGuestAgain(t *testing.T) {
	need(t, "qemu-system-x86_64", "busybox", "curl", "cpio")
	l := newLab(t)
	l.pod.batch("tuntap add tap0 mode tap", "link set tap0 mtu 1450")
	served := l.serveFile(1_000_000)
	p := l.podswitch("--guest", "packet:tap0")
	for _, again := range []struct {
		name, mac string
		between   []string // ip commands to run before QEMU starts
	}{
		{name: "first boot", mac: "02:00:00:00:00:07"},
		{name: "the same MAC", mac: "02:00:00:00:00:07"},
		{name: "another MAC", mac: "02:00:00:00:00:08"},
		{name: "tap deleted and made anew", mac: "02:00:00:00:00:08", between: []string{"tuntap del tap0 mode tap", "tuntap add tap0 mode tap"}},
	} {
		ok := t.Run(again.name, func(t *testing.T) {
			l.within(t)
			l.pod.batch(again.between...)
			vm, _ := l.boot(guest.Config{MAC: again.mac, Task: fmt.Sprintf(guestTask, 1_000_000)})
			l.awaitHolder("guest")
			if s := l.status(); s.Lease == nil || s.Lease.MAC != again.mac {
				t.Errorf("status has the lease %+v, want one of %s", s.Lease, again.mac)
			}
			l.awaitTask(vm)
			l.expectFetched(vm, served)
			l.fetchesFrom(vm, podAddress)
			vm.Stop()
		})
		if !ok {
			t.Log(p.text())
		}
	}
	l.within(t)
	p.stop()
}

// within makes a subtest report the failures of the lab from now on.
func (l *lab) within(t *testing.T) {
	l.t, l.node.t, l.pod.t, l.peer.t, l.guest.t = t, t, t, t, t
}

// TestSwitchAgain kills podswitch and starts it again while QEMU keeps running: the guest is connected again without a new lease.
func TestSwitchAgain(t *testing.T) {
	need(t, "qemu-system-x86_64", "busybox", "curl", "cpio")
	l := newLab(t)
	l.pod.batch("tuntap add tap0 mode tap", "link set tap0 mtu 1450")
	before := l.snapshot()
	flags := []string{"--guest", "packet:tap0", "--vm", document(t, "virtio", "")}
	first := l.podswitch(flags...)
	l.serveFile(1_000_000)
	vm, _ := l.boot(guest.Config{MAC: guestMAC, Task: fmt.Sprintf(guestTask, 1_000_000)})
	l.awaitTask(vm)
	l.fetchesFrom(vm, podAddress)
	first.killAll()
	if out, _, code := l.peer.run("ping", "-c1", "-W1", podAddress); code == 0 {
		t.Errorf("the pod address answers while podswitch does not run: %s", out)
	}
	second := l.podswitch(flags...)
	l.awaitHolder("guest")
	l.fetchesFrom(vm, podAddress)
	l.peer.must("ping", "-c1", "-W2", podAddress)
	for what, text := range map[string]string{"the guest": vm.Console(), "podswitch": second.text()} {
		if strings.Contains(text, "guest: renewed ") || strings.Contains(text, "ACK") {
			t.Errorf("%s shows a new lease, want none:\n%s", what, text)
		}
	}
	vm.Stop()
	second.stop()
	if after := l.snapshot(); withoutNeighbours(after) != withoutNeighbours(before) {
		t.Errorf("the pod interface has changed\nbefore %s\nafter  %s", before, after)
	}
}
