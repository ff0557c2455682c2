package podnet

import (
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRestoreWhenSomebodyMixedTheOrder(t *testing.T) {
	p := newPod(t)
	p.ip(crowded)
	before := p.snapshot()
	p.crash("take", 0, fenceNftables)
	// The secondary address is primary now, and the second default route is the first.
	p.ip(`addr add 10.22.0.10/24 dev eth0
		route add default via 10.22.0.2 dev eth0 onlink`)
	if _, err := Restore(p.dir); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

func TestGiveBackFromManySides(t *testing.T) {
	p := newPod(t)
	p.ip(crowded)
	before := p.snapshot()
	h := p.take()
	var group sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		group.Go(func() { errs <- h.GiveBack() })
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	p.wantAs(before)
}

func TestGiveBackAfterTheLinkWentDown(t *testing.T) {
	p := newPod(t)
	p.ip(crowded)
	before := p.snapshot()
	h := p.take()
	p.ip("link set eth0 down")
	if err := h.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

func TestALinkThatWasDownStaysDown(t *testing.T) {
	p := newPod(t)
	p.ip("link set eth0 down\naddr add 10.244.1.7/24 dev eth0")
	before := p.snapshot()
	if err := p.take().GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

func TestGiveBackWhenTheLinkIsGone(t *testing.T) {
	p := newPod(t)
	p.ip(crowded)
	h := p.take()
	p.ip("link del eth0")
	wantError(t, h.GiveBack(), ErrLinkGone, "eth0")
	if err := h.GiveBack(); err != nil {
		t.Errorf("again: %v", err)
	}
	if names := p.files(); len(names) > 0 {
		t.Errorf("left in the state directory: %v", names)
	}
}

func TestRestoreWhenTheLinkIsGone(t *testing.T) {
	p := newPod(t)
	p.ip(crowded)
	p.crash("take", 0, fenceNftables)
	p.ip("link del eth0")
	_, err := Restore(p.dir)
	wantError(t, err, ErrLinkGone, "eth0")
	if text, err := Restore(p.dir); err != nil || !strings.HasPrefix(text, "nothing to restore") {
		t.Errorf("again: %q, %v", text, err)
	}
}

func TestRestoreRefusesAnotherInterface(t *testing.T) {
	for name, line := range map[string]string{
		"another name": "link set eth0 down\nlink set eth0 name eth1",
		"another MAC":  "link set eth0 address 02:00:00:00:00:77",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			p.ip(crowded)
			p.crash("take", 0, fenceNftables)
			p.ip(line)
			_, err := Restore(p.dir)
			wantError(t, err, ErrForeignState, statePath(p.dir))
			if exists, _ := stateExists(p.dir); !exists {
				t.Error("the state file is gone")
			}
			if out := p.run("ip", "-4", "-o", "addr"); strings.Contains(out, "10.22.") {
				t.Errorf("changed all the same: %s", out)
			}
		})
	}
}

func TestRestoreRefusesAnotherNamespace(t *testing.T) {
	p := newPod(t)
	p.ip(crowded)
	p.crash("take", 0, fenceNftables)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	_, err := Restore(p.dir)
	wantError(t, err, ErrForeignState, statePath(p.dir), "namespace")
	if exists, _ := stateExists(p.dir); !exists {
		t.Error("the state file is gone")
	}
}

func TestRestoreRefusesWhileARunHoldsTheLock(t *testing.T) {
	p := newPod(t)
	p.ip(crowded)
	lock, err := Lock(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	p.take()
	_, err = Restore(p.dir)
	wantError(t, err, ErrLocked, p.dir)
}

func TestRestoreWhenAnotherLinkIsGone(t *testing.T) {
	p := newPod(t)
	p.ip(`link add net1 type veth peer name node1
		link set net1 up
		link set node1 up
		addr add 172.16.0.2/24 dev net1
		addr add 10.244.1.7/24 dev eth0
		route add default via 10.244.1.1
		route add 10.71.0.0/16 via 172.16.0.1 src 10.244.1.7`)
	p.crash("take", 0, fenceNftables)
	p.ip("link del net1")
	text, err := Restore(p.dir)
	if err != nil || !strings.Contains(text, "not put back: route 10.71.0.0/16") {
		t.Fatalf("Restore = %q, %v", text, err)
	}
	if routes := p.run("ip", "route"); !strings.Contains(routes, "default via 10.244.1.1 dev eth0") {
		t.Errorf("routes: %s", routes)
	}
}

func TestRestoreLeavesRoutesOfOthers(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0")
	p.crash("take", 0, fenceNftables)
	p.ip("route add 203.0.113.0/24 dev eth0")
	if _, err := Restore(p.dir); err != nil {
		t.Fatal(err)
	}
	if routes := p.run("ip", "route"); !strings.Contains(routes, "203.0.113.0/24 dev eth0") {
		t.Errorf("routes: %s", routes)
	}
}

func TestAddressesAge(t *testing.T) {
	tests := []struct {
		valid, preferred         uint32
		after                    time.Duration
		wantValid, wantPreferred uint32
		alive                    bool
	}{
		{Forever, Forever, time.Hour, Forever, Forever, true},
		{Forever, 0, time.Hour, Forever, 0, true},
		{100, 50, 10 * time.Second, 90, 40, true},
		{100, 50, 70 * time.Second, 30, 0, true},
		{100, 50, 100 * time.Second, 100, 0, false},
		{100, 50, -time.Second, 100, 50, true},
	}
	for _, test := range tests {
		got, alive := Address{Valid: test.valid, Preferred: test.preferred}.age(test.after)
		if alive != test.alive || got.Valid != test.wantValid || got.Preferred != test.wantPreferred {
			t.Errorf("%+v: got %d, %d, %t", test, got.Valid, got.Preferred, alive)
		}
	}
}

func TestFiniteLifetimesComeBack(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0 valid_lft 1000 preferred_lft 500")
	h := p.take()
	if err := h.GiveBack(); err != nil {
		t.Fatal(err)
	}
	a := p.discover().Addresses[0]
	if a.Valid > 1000 || a.Valid < 900 || a.Preferred > 500 || a.Preferred < 400 {
		t.Errorf("valid for %d, preferred for %d", a.Valid, a.Preferred)
	}
}
