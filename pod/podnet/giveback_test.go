package podnet

// These tests change the namespace while the addresses are taken, and compare the restored interface with what the kernel would have made of
// the same changes.

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// secondLink adds the link net1, which routes of the tests depend on.
const secondLink = `link add net1 type veth peer name node1
	link set net1 up
	link set node1 up
	addr add 172.16.0.2/24 dev net1
	`

// TestGiveBackLosesOnlyWhatTheKernelRefuses checks that a route or neighbour that cannot come back neither keeps the rest from coming back
// nor the state file.
func TestGiveBackLosesOnlyWhatTheKernelRefuses(t *testing.T) {
	tests := []struct{ name, lines, meanwhile, report, want string }{
		{"the interface of a next hop is down", `route add 10.71.0.0/16 via 172.16.0.1 src 10.244.1.7
			route add default via 10.244.1.1`, "link set net1 down", "10.71.0.0/16", "default via 10.244.1.1 dev eth0"},
		{"the interface of one of two next hops is down", "route add default nexthop via 172.16.0.1 weight 2 nexthop via 10.244.1.1 weight 3",
			"link set net1 down", "the next hop link", "default via 10.244.1.1 dev eth0"},
		{"one of three next hops is not reachable", "route add default nexthop via 10.244.1.1 nexthop via 172.16.0.1 nexthop via 10.244.1.2",
			"addr del 172.16.0.2/24 dev net1", "via 172.16.0.1", "nexthop via 10.244.1.1 dev eth0 weight 1 \n\tnexthop via 10.244.1.2 dev eth0 weight 1"},
		{"the source address is gone", `addr add 192.0.2.9/32 dev lo
			route add 10.71.0.0/16 via 10.244.1.1 src 192.0.2.9
			route append 10.71.0.0/16 via 10.244.1.2 dev eth0
			route add default via 10.244.1.1`, "addr del 192.0.2.9/32 dev lo", "src 192.0.2.9", "10.71.0.0/16 via 10.244.1.2 dev eth0"},
	}
	for _, test := range tests {
		for _, how := range []string{"GiveBack", "Restore"} {
			t.Run(test.name+", "+how, func(t *testing.T) {
				p := newPod(t)
				p.ip(secondLink + "addr add 10.244.1.7/24 dev eth0\n" + test.lines)
				report := ""
				if how == "GiveBack" {
					taken := p.take()
					p.ip(test.meanwhile)
					tx := taken.tx
					if err := taken.GiveBack(); err != nil {
						t.Fatal(err)
					}
					report = strings.Join(tx.lost, "; ")
				} else {
					p.takeAndDie()
					p.ip(test.meanwhile)
					var err error
					if report, err = Restore(p.dir); err != nil {
						t.Fatal(err)
					}
				}
				if !strings.Contains(report, test.report) {
					t.Errorf("the report %q lacks %q", report, test.report)
				}
				if routes := p.run("ip", "route"); !strings.Contains(routes, test.want) || !strings.Contains(routes, "default") {
					t.Errorf("routes:\n%s\nwant %q", routes, test.want)
				}
				if files := p.files(); len(files) > 0 {
					t.Errorf("left in the state directory: %v", files)
				}
			})
		}
	}
}

func TestGiveBackAfterTheAddressExpired(t *testing.T) {
	tests := []struct{ name, other, lost, want string }{
		{"with another address", "addr add 10.9.0.2/16 dev eth0\nroute add default via 10.9.0.1 metric 5", "src 10.244.1.7", "default via 10.9.0.1"},
		{"without another one", "route add 169.254.1.1 dev eth0 scope link", "has no address", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPod(t)
			p.ip(`addr add 10.244.1.7/24 dev eth0 valid_lft 1000 preferred_lft 1000
				route add default via 10.244.1.1
				route add 10.60.0.0/16 via 10.244.1.1 src 10.244.1.7
				neigh add 10.244.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent
				` + test.other)
			p.takeAndDie()
			p.changeState(func(r *record) { r.Uptime -= 2000 * time.Second })
			report, err := Restore(p.dir)
			if err != nil || !strings.Contains(report, "address 10.244.1.7/24: it has expired") || !strings.Contains(report, test.lost) {
				t.Fatalf("Restore = %q, %v", report, err)
			}
			if routes := p.run("ip", "route"); !strings.Contains(routes, test.want) || strings.Contains(routes, "10.60.0.0") || test.want == "" && routes != "" {
				t.Errorf("routes:\n%s", routes)
			}
		})
	}
}

// TestAnAddressWithANewLifetimeKeepsIt checks that an address which a DHCP client renews while it is taken does not expire with the record,
// and has its place and its new lifetime afterwards.
func TestAnAddressWithANewLifetimeKeepsIt(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0 valid_lft 1000 preferred_lft 1000\naddr add 10.244.1.8/24 dev eth0\nroute add default via 10.244.1.1 src 10.244.1.7")
	before := p.run("ip", "route")
	p.takeAndDie()
	p.changeState(func(r *record) { r.Uptime -= 2000 * time.Second })
	p.ip("addr add 10.244.1.8/24 dev eth0\naddr replace 10.244.1.7/24 dev eth0 valid_lft 5000 preferred_lft 4000")
	if report, err := Restore(p.dir); err != nil || strings.Contains(report, "not restored") {
		t.Errorf("Restore = %q, %v", report, err)
	}
	got := p.discover().Addresses
	if len(got) != 2 || got[0].Prefix.String() != "10.244.1.7/24" || got[0].isSecondary() || got[0].Valid < 4000 || got[0].Valid > 5000 || got[0].Preferred > 4000 {
		t.Errorf("addresses %+v", got)
	}
	if after := p.run("ip", "route"); after != before {
		t.Errorf("routes\n%s, want\n%s", after, before)
	}
}

// TestRecoverGivesUpTheRest checks that what cannot be restored keeps no podswitch from starting, if the addresses are there.
func TestRecoverGivesUpTheRest(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0\nroute add default via 10.244.1.1")
	p.takeAndDie()
	p.changeState(func(r *record) { r.Sysctls = []sysctl{{"forwarding", "99999999999999999999"}} })
	_, err := Restore(p.dir)
	wantError(t, err, nil, "forwarding", "remains")
	report, err := RestoreLocked(p.dir)
	if err != nil || !strings.Contains(report, "forwarding") || len(p.files()) > 0 {
		t.Fatalf("RestoreLocked = %q, %v; files %v", report, err, p.files())
	}
	if err := p.take().GiveBack(); err != nil {
		t.Fatal(err)
	}

	p.takeAndDie()
	hooks := testHooks{afterStep: func(step string) {
		if step == "add an address" { // and another program removes it
			p.ip("addr flush dev eth0")
		}
	}}
	p.changeState(func(r *record) { r.Sysctls = []sysctl{{"forwarding", "99999999999999999999"}} })
	if report, err := restoreWithHooks(p.dir, hooks); err == nil || len(p.files()) != 1 {
		t.Errorf("without the address: RestoreLocked = %q, %v; files %v", report, err, p.files())
	}
}

// TestAddressesOfOtherProgramsStayBehind compares addresses and routes with those of the same commands on an interface that keeps its
// addresses.
func TestAddressesOfOtherProgramsStayBehind(t *testing.T) {
	tests := map[string]string{
		"in another subnet":                 "addr add 192.0.2.5/24 dev eth0",
		"in another subnet, two":            "addr add 192.0.2.5/24 dev eth0\naddr add 192.0.2.6/24 dev eth0\nroute add 203.0.113.0/24 via 192.0.2.1",
		"in the subnet of the pod address":  "addr add 10.244.1.9/24 dev eth0",
		"with a route from it":              "addr add 10.244.1.9/24 dev eth0\nroute add 203.0.113.0/24 dev eth0 src 10.244.1.9",
		"with a shorter subnet":             "addr add 10.244.1.9/16 dev eth0",
		"of link scope":                     "addr add 169.254.3.4/16 scope link dev eth0",
		"with a neighbour":                  "addr add 10.244.1.9/24 dev eth0\nneigh add 10.244.1.77 lladdr 02:00:00:00:00:77 nud permanent dev eth0",
		"the secondary address again":       "addr replace 10.244.1.8/24 dev eth0",
		"the pod address again":             "addr replace 10.244.1.7/24 dev eth0 valid_lft forever",
		"the secondary one and another one": "addr replace 10.244.1.8/24 dev eth0\naddr add 192.0.2.5/24 dev eth0",
	}
	for _, subnet := range []string{"24", "32"} {
		for name, meanwhile := range tests {
			t.Run(name+", pod address with /"+subnet, func(t *testing.T) {
				lines := "addr add 10.244.1.7/" + subnet + " dev eth0\naddr add 10.244.1.8/24 dev eth0\naddr add 10.23.0.1/16 dev eth0\n" +
					"route add default via 10.23.0.9\nroute add 10.60.0.0/16 dev eth0 scope link"
				p := newPod(t)
				p.ip(lines + "\n" + meanwhile)
				want := p.snapshot()
				p.ip("route flush table main\naddr flush dev eth0\n" + lines)
				p.takeAndDie()
				p.ip(meanwhile)
				for killed, step := true, 1; killed; step++ { // killed at every step
					killed = p.crash("recover", step, silenceNftables)
				}
				if _, err := Restore(p.dir); err != nil {
					t.Fatal(err)
				}
				p.wantAs(want)
			})
		}
	}
}

func TestNeighboursWithoutARPAreRestored(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0\nneigh add 10.244.1.5 lladdr 02:00:00:00:00:05 nud noarp dev eth0")
	id := p.discover()
	if len(id.Neighbours) != 1 || !id.Neighbours[0].Permanent() || !strings.HasSuffix(id.Neighbours[0].String(), "noarp") {
		t.Errorf("neighbours %v", id.Neighbours)
	}
	before := p.run("ip", "neigh", "show", "nud", "noarp", "dev", "eth0")
	if err := p.take().GiveBack(); err != nil {
		t.Fatal(err)
	}
	if after := p.run("ip", "neigh", "show", "nud", "noarp", "dev", "eth0"); after != before || after == "" {
		t.Errorf("neighbours\n%s, want\n%s", after, before)
	}
}

// TestManyRoutes checks that the state file of many routes can be read, and that the time to restore them is proportional to their number.
func TestManyRoutes(t *testing.T) {
	few, many := restoreRoutes(t, 2000), restoreRoutes(t, 24000)
	t.Logf("2000 routes take %s, 24000 routes take %s", few, many)
	if many > 50*few {
		t.Errorf("12 times the routes take %.0f times the time", float64(many)/float64(few))
	}
}

// restoreRoutes returns the time to restore a pod with a number of routes.
func restoreRoutes(t *testing.T, n int) (took time.Duration) {
	t.Run(fmt.Sprint(n), func(t *testing.T) {
		p := newSerialPod(t)
		var lines strings.Builder
		lines.WriteString("addr add 10.244.1.7/24 dev eth0\nroute add 169.254.1.1 dev eth0 scope link")
		for i := range n {
			fmt.Fprintf(&lines, "\nroute add 100.%d.%d.0/24 via 169.254.1.1 dev eth0", i>>8, i&0xff)
		}
		p.ip(lines.String())
		want := p.run("ip", "route")
		p.takeAndDie()
		began := time.Now()
		if _, err := Restore(p.dir); err != nil {
			t.Fatal(err)
		}
		took = time.Since(began)
		if p.run("ip", "route") != want {
			t.Error("the routes differ")
		}
	})
	return took
}

func TestARecordThatCouldNotBeReadIsNotWritten(t *testing.T) {
	dir, r := t.TempDir(), sample()
	r.Pod.HostName = strings.Repeat("x", stateLimit)
	wantError(t, writeRecord(dir, r), nil, "want less than")
	if exists, err := stateExists(dir); exists || err != nil {
		t.Errorf("the state file exists: %t, %v", exists, err)
	}
}

// TestStateFilesOfOtherKindsAreRefused checks that a file in a directory that others can write to neither blocks nor is believed.
func TestStateFilesOfOtherKindsAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files to another user")
	}
	write := func(path string) error { return writeRecord(strings.TrimSuffix(path, "/"+stateName), sample()) }
	for name, test := range map[string]struct {
		create func(path string) error
		word   string
	}{
		"a FIFO":         {func(path string) error { return unix.Mkfifo(path, 0o600) }, "regular"},
		"a directory":    {func(path string) error { return os.Mkdir(path, 0o700) }, "regular"},
		"another user's": {func(path string) error { return cmp.Or(write(path), os.Chown(path, 4711, 0)) }, "4711"},
		"writable":       {func(path string) error { return cmp.Or(write(path), os.Chmod(path, 0o666)) }, "every user"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := test.create(statePath(dir)); err != nil {
				t.Fatal(err)
			}
			for _, call := range []func() error{
				func() error { _, err := Restore(dir); return err },
				func() error { _, err := RestoreLocked(dir); return err },
				func() error { _, err := Pending(dir); return err },
			} {
				wantError(t, call(), nil, test.word, statePath(dir))
			}
		})
	}
	t.Run("FIFOs elsewhere in the directory", func(t *testing.T) {
		dir := t.TempDir()
		for _, name := range []string{lockName, asidePrefix + "7.json"} {
			if err := unix.Mkfifo(dir+"/"+name, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Lock(dir)
		wantError(t, err, nil, "lock", "regular")
		if text, err := RestoreLocked(dir); text != "" || err != nil {
			t.Errorf("RestoreLocked = %q, %v", text, err)
		}
	})
}

// TestRestoreWithAMaskedBootID checks that another content of the file is not taken for another boot.
func TestRestoreWithAMaskedBootID(t *testing.T) {
	other := t.TempDir() + "/boot_id"
	if err := os.WriteFile(other, []byte("11111111-2222-3333-4444-555555555555\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mask := range []string{other, "/dev/null", "/proc/sys/kernel/random/uuid"} {
		t.Run(mask, func(t *testing.T) {
			p, before := newCrowdedPod(t)
			p.takeAndDie()
			if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
				t.Skipf("needs a mount namespace: %v", err)
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount(mask, bootIDFile, "", unix.MS_BIND, ""); err != nil {
				t.Skipf("needs bind mounts over /proc: %v", err)
			}
			if id := bootID(bootIDFile); id != "" {
				t.Errorf("the boot ID is %q, want none", id)
			}
			if report, err := Restore(p.dir); err != nil || !strings.HasPrefix(report, "eth0 is restored") {
				t.Errorf("Restore = %q, %v", report, err)
			}
			p.wantAs(before)
		})
	}
}
