package podnet

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestRestoreRepairsTheOrder(t *testing.T) {
	p, before := newCrowdedPod(t)
	p.takeAndDie()
	// The secondary address is primary now, and the second default route is the first.
	p.ip(`addr add 10.22.0.10/24 dev eth0
		route add default via 10.22.0.2 dev eth0 onlink`)
	if _, err := Restore(p.dir); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

func TestGiveBackMayRunConcurrently(t *testing.T) {
	p, before := newCrowdedPod(t)
	taken := p.take()
	var group sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		group.Go(func() { errs <- taken.GiveBack() })
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

func TestGiveBackSetsTheLinkUpAgain(t *testing.T) {
	p, before := newCrowdedPod(t)
	taken := p.take()
	p.ip("link set eth0 down")
	if err := taken.GiveBack(); err != nil {
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

func TestGiveBackReportsAGoneLinkOnce(t *testing.T) {
	p, _ := newCrowdedPod(t)
	taken := p.take()
	p.ip("link del eth0")
	wantError(t, taken.GiveBack(), ErrLinkGone, "eth0")
	if err := taken.GiveBack(); err != nil {
		t.Errorf("again: %v", err)
	}
	if names := p.files(); len(names) > 0 {
		t.Errorf("left in the state directory: %v", names)
	}
}

func TestRestoreReportsAGoneLinkOnce(t *testing.T) {
	p, _ := newCrowdedPod(t)
	p.takeAndDie()
	p.ip("link del eth0")
	_, err := Restore(p.dir)
	wantError(t, err, ErrLinkGone, "eth0")
	if text, err := Restore(p.dir); err != nil || !strings.HasPrefix(text, "nothing to restore") {
		t.Errorf("again: %q, %v", text, err)
	}
}

// The index may belong to another interface: one of another kind, or of a namespace that cannot be identified.
func TestRestoreRefusesAnotherInterface(t *testing.T) {
	for name, test := range map[string]struct {
		lines  string
		change func(*Identity)
	}{
		"another kind":                      {"", func(id *Identity) { id.Link.Kind, id.Link.Name = "macvlan", "eth1" }},
		"another name, without the boot ID": {"link set eth0 down\nlink set eth0 name eth1", func(id *Identity) { id.Namespace.Boot = "" }},
		"another MAC, without the cookie":   {"link set eth0 address 02:00:00:00:00:77", func(id *Identity) { id.Namespace.Cookie = 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := newCrowdedPod(t)
			p.takeAndDie()
			p.changeState(func(r *record) { test.change(r.Pod) })
			p.ip(test.lines)
			_, err := Restore(p.dir)
			wantError(t, err, ErrForeignState, statePath(p.dir))
			if exists, _ := stateExists(p.dir); !exists {
				t.Error("the state file is gone")
			}
			if out := p.run("ip", "-4", "-o", "addr"); strings.Contains(out, "10.22.") {
				t.Errorf("the interface was changed: %s", out)
			}
		})
	}
}

// changeState rewrites the state file.
func (p *pod) changeState(change func(*record)) {
	p.t.Helper()
	r, err := readRecord(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	change(r)
	if err := writeRecord(p.dir, r); err != nil {
		p.t.Fatal(err)
	}
}

// The index identifies the interface while its namespace exists.
func TestRestoreFollowsALinkThatWasChanged(t *testing.T) {
	for name, change := range map[string]struct{ lines, name, report string }{
		"another name":              {"link set eth0 down\nlink set eth0 name eth1", "eth1", "eth0, now eth1, is restored"},
		"another MAC":               {"link set eth0 address 02:00:00:00:00:77", "eth0", "eth0 is restored"},
		"another name and MAC":      {"link set eth0 down\nlink set eth0 name eth1 address 02:00:00:00:00:77", "eth1", "eth0, now eth1, is restored"},
		"another name, and eth0 is": {"link set eth0 down\nlink set eth0 name eth1\nlink add eth0 type veth peer name node9", "eth1", "eth0, now eth1, is restored"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := newCrowdedPod(t)
			addresses := p.addresses()
			p.takeAndDie()
			p.ip(change.lines)
			if report, err := Restore(p.dir); err != nil || !strings.HasPrefix(report, change.report) {
				t.Fatalf("Restore = %q, %v", report, err)
			}
			have := strings.ReplaceAll(p.run("ip", "-4", "-o", "addr", "show", "dev", change.name), change.name, "eth0")
			if have != addresses || len(p.files()) > 0 {
				t.Errorf("addresses\n%s, want\n%s; files %v", have, addresses, p.files())
			}
		})
	}
}

// The process that took the addresses knows the interface by its index.
func TestGiveBackFollowsALinkThatWasRenamed(t *testing.T) {
	for name, change := range map[string]struct{ lines, name string }{
		"another name": {"link set eth0 down\nlink set eth0 name eth1\nlink set eth1 up", "eth1"},
		"another MAC":  {"link set eth0 address 02:00:00:00:00:77", "eth0"},
	} {
		for silence, hooks := range map[string]testHooks{silenceNftables: {}, silenceSysctls: {silence: withoutNftables}} {
			t.Run(name+", "+silence, func(t *testing.T) {
				p, _ := newCrowdedPod(t)
				addresses, settings := p.addresses(), p.silentSettings("eth0")
				taken, err := takeWithHooks(p.discover(), p.dir, p.log, hooks)
				if err != nil {
					t.Fatal(err)
				}
				p.ip(change.lines)
				if err := taken.GiveBack(); err != nil {
					t.Fatal(err)
				}
				have := strings.ReplaceAll(p.run("ip", "-4", "-o", "addr", "show", "dev", change.name), change.name, "eth0")
				if have != addresses || p.silentSettings(change.name) != settings || len(p.files()) > 0 {
					t.Errorf("addresses\n%s, want\n%s; settings %s, want %s; files %v", have, addresses, p.silentSettings(change.name), settings, p.files())
				}
				if tables := p.run("nft", "list", "tables"); strings.Contains(tables, "podswitch") {
					t.Errorf("left in nftables: %s", tables)
				}
			})
		}
	}
}

// silentSettings returns the values of the sysctls that can silence the kernel on a link.
func (p *pod) silentSettings(link string) (settings string) {
	for _, s := range silentSettings() {
		settings += s.Name + "=" + p.readSysctl("net/ipv4/conf/"+link+"/"+s.Name) + " "
	}
	return settings
}

func TestRestoreRefusesAnotherNamespace(t *testing.T) {
	p, _ := newCrowdedPod(t)
	p.takeAndDie()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	_, err := Restore(p.dir)
	wantError(t, err, ErrForeignState, statePath(p.dir), "namespace")
	if exists, _ := stateExists(p.dir); !exists {
		t.Error("the state file is gone")
	}
}

// Two namespaces use one state directory, and each restores its own interface from there.
func TestRecoverSetsTheStateOfAnotherNamespaceAside(t *testing.T) {
	p, before := newCrowdedPod(t)
	p.takeAndDie()
	first := p.enterNew()
	if pending, err := Pending(p.dir); pending != nil || err != nil {
		t.Errorf("Pending = %v, %v", pending, err)
	}
	text, err := RestoreLocked(p.dir)
	if err != nil || !strings.Contains(text, "kept in "+p.dir+"/state-") || len(p.files()) != 1 {
		t.Fatalf("RestoreLocked = %q, %v; files %v", text, err, p.files())
	}
	if text, err := RestoreLocked(p.dir); err != nil || text != "" {
		t.Errorf("again: %q, %v", text, err)
	}
	if text, err := Restore(p.dir); err != nil || !strings.HasPrefix(text, "nothing to restore") {
		t.Errorf("Restore = %q, %v", text, err)
	}
	p.ip("link add eth0 type veth peer name node1\nlink set eth0 up\naddr add 10.244.1.9/24 dev eth0")
	p.takeAndDie() // in the second namespace, too
	if err := unix.Setns(first, unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if pending, err := Pending(p.dir); err != nil || pending == nil || pending.Link.MAC.String() != "0a:58:0a:f4:01:07" {
		t.Errorf("Pending = %v, %v", pending, err)
	}
	if text, err := Restore(p.dir); err != nil || !strings.HasPrefix(text, "eth0 is restored") {
		t.Errorf("Restore = %q, %v", text, err)
	}
	if files := p.files(); len(files) != 1 || !strings.HasPrefix(files[0], asidePrefix) {
		t.Errorf("files %v; want the one of the second namespace", files)
	}
	if diff := cmp.Diff(before, p.snapshot()); diff != "" {
		t.Errorf("the pod differs (-before +after):\n%s", diff)
	}
}

// enterNew moves the test into a new network namespace, and returns a descriptor of the previous one.
func (p *pod) enterNew() int {
	p.t.Helper()
	before, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { unix.Close(before) })
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		p.t.Fatal(err)
	}
	return before
}

func TestAStateFileInPlaceReplacesOneThatIsSetAside(t *testing.T) {
	p, before := newCrowdedPod(t)
	p.takeAndDie()
	here, err := currentNamespace()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(statePath(p.dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(asidePath(p.dir, here), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := RestoreLocked(p.dir); err != nil || !strings.HasPrefix(text, "eth0 is restored") {
		t.Errorf("RestoreLocked = %q, %v", text, err)
	}
	p.wantAs(before)
}

// A file with the same prefix that is no state file stays.
func TestRecoverRemovesStateThatWasSetAsideBeforeTheLastBoot(t *testing.T) {
	p, _ := newCrowdedPod(t)
	p.takeAndDie()
	record, err := readRecord(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	record.Pod.Namespace.Boot = "another"
	if err := writeRecord(p.dir, record); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(statePath(p.dir), filepath.Join(p.dir, asidePrefix+"5.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, asidePrefix+"mine.json"), []byte("notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := RestoreLocked(p.dir); err != nil || text != "" || !slices.Equal(p.files(), []string{asidePrefix + "mine.json"}) {
		t.Errorf("RestoreLocked = %q, %v; files %v", text, err, p.files())
	}
}

func TestRestoreRefusesWhileAnotherProcessHoldsTheLock(t *testing.T) {
	p, _ := newCrowdedPod(t)
	lock, err := Lock(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	p.take()
	_, err = Restore(p.dir)
	wantError(t, err, ErrLocked, p.dir)
}

func TestRestoreOmitsRoutesOfALinkThatIsGone(t *testing.T) {
	p := newPod(t)
	p.ip(`link add net1 type veth peer name node1
		link set net1 up
		link set node1 up
		addr add 172.16.0.2/24 dev net1
		addr add 10.244.1.7/24 dev eth0
		route add default via 10.244.1.1
		route add 10.71.0.0/16 via 172.16.0.1 src 10.244.1.7`)
	p.takeAndDie()
	p.ip("link del net1")
	text, err := Restore(p.dir)
	if err != nil || !strings.Contains(text, "not restored: route 10.71.0.0/16") {
		t.Fatalf("Restore = %q, %v", text, err)
	}
	if routes := p.run("ip", "route"); !strings.Contains(routes, "default via 10.244.1.1 dev eth0") {
		t.Errorf("routes: %s", routes)
	}
}

func TestRestoreKeepsRoutesOfOtherPrograms(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0")
	p.takeAndDie()
	p.ip("route add 203.0.113.0/24 dev eth0")
	if _, err := Restore(p.dir); err != nil {
		t.Fatal(err)
	}
	if routes := p.run("ip", "route"); !strings.Contains(routes, "203.0.113.0/24 dev eth0") {
		t.Errorf("routes: %s", routes)
	}
}

func TestAddressLifetimesPass(t *testing.T) {
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
		got, alive := Address{Valid: test.valid, Preferred: test.preferred}.aged(test.after)
		if alive != test.alive || got.Valid != test.wantValid || got.Preferred != test.wantPreferred {
			t.Errorf("%+v: got %d, %d, %t", test, got.Valid, got.Preferred, alive)
		}
	}
}

func TestGiveBackRestoresTheRemainingLifetimes(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0 valid_lft 1000 preferred_lft 500")
	taken := p.take()
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	a := p.discover().Addresses[0]
	if a.Valid > 1000 || a.Valid < 900 || a.Preferred > 500 || a.Preferred < 400 {
		t.Errorf("valid for %d, preferred for %d", a.Valid, a.Preferred)
	}
}

// TestLifetimesOfThePodAddress checks that they count from the time when the identity was read, also in a state file.
func TestLifetimesOfThePodAddress(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0 valid_lft 1000 preferred_lft 500")
	now := time.Now()
	want := func(what string, id *Identity, valid, preferred int) {
		t.Helper()
		expires, deprecated := id.Lifetimes(IPv4, now)
		for _, got := range []struct {
			at   time.Time
			left int
		}{{expires, valid}, {deprecated, preferred}} {
			if got.left == 0 && !got.at.IsZero() || got.left != 0 && (got.at.Sub(now) > time.Duration(got.left)*time.Second || got.at.Sub(now) < time.Duration(got.left-60)*time.Second) {
				t.Errorf("%s: it ends %s, want %d seconds", what, got.at.Sub(now), got.left)
			}
		}
	}
	id := p.discover()
	want("discovered", id, 1000, 500)
	id.readAt -= 300 * time.Second
	want("300 seconds later", id, 700, 200)
	id.readAt -= 300 * time.Second
	want("deprecated", id, 400, 0)
	p.takeAndDie()
	p.changeState(func(r *record) { r.Uptime -= 300 * time.Second })
	pending, err := Pending(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	want("in the state file", pending, 700, 200)
	p.changeState(func(r *record) { r.Pod.Addresses[0].Valid, r.Pod.Addresses[0].Preferred = Forever, Forever })
	if pending, err = Pending(p.dir); err != nil {
		t.Fatal(err)
	}
	want("endless", pending, 0, 0)
}
