package podnet

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/host/missing"
	"golang.org/x/sys/unix"
)

// wantError fails the test unless err wraps target (nil: is any error) and its text contains all the words.
func wantError(t *testing.T, err, target error, words ...string) {
	t.Helper()
	if err == nil || target != nil && !errors.Is(err, target) {
		t.Fatalf("got error %v, want %v", err, target)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Fatalf("error %q lacks %q", err, w)
		}
	}
}

func TestDiscoverListsTheExistingInterfaces(t *testing.T) {
	newPod(t)
	_, err := Discover("eth9")
	wantError(t, err, nil, "eth9", "lo", "node0", "eth0")
	if lacks := (*missing.Error)(nil); !errors.As(err, &lacks) {
		t.Errorf("%T is no *missing.Error", err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "a b", "a:b", "abcdefghijklmnop", "a\x00"} {
		_, err := Discover(name)
		wantError(t, err, nil, "interface name")
	}
}

func TestDiscoverRefusesWhatCouldNotBeRestored(t *testing.T) {
	tests := []struct{ name, lines, word string }{
		{"encapsulation", "route add 10.50.0.0/16 encap ip id 5 dst 192.0.2.1 via 10.244.1.1 dev eth0", "encap"},
		{"encapsulation of a next hop", "route add 10.50.0.0/16 nexthop encap ip id 5 dst 192.0.2.1 via 10.244.1.1 dev eth0 nexthop via 10.244.1.2", "encap"},
		{"next hop object", "nexthop add id 5 via 10.244.1.1 dev eth0\nroute add 10.50.0.0/16 nhid 5", "nhid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPod(t)
			p.ip("addr add 10.244.1.7/24 dev eth0")
			cmd := exec.Command("ip", "-batch", "-")
			cmd.Stdin = strings.NewReader(test.lines + "\n")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("needs a kernel with this kind of route: %s", out)
			}
			_, err := Discover("eth0", IPv4)
			wantError(t, err, nil, "10.50.0.0/16", test.word)
			if lacks := (*missing.Error)(nil); !errors.As(err, &lacks) {
				t.Errorf("%T is no *missing.Error", err)
			}
			p.ip("route del 10.50.0.0/16\nroute add 10.50.0.0/16 via 10.244.1.1")
			p.discover()
		})
	}
}

func TestTakeKeepsAnEarlierStateFile(t *testing.T) {
	p, _ := newCrowdedPod(t)
	id := p.discover()
	if err := os.WriteFile(statePath(p.dir), []byte("earlier"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := p.addresses()
	_, err := Take(id, p.dir, p.log)
	wantError(t, err, ErrStateExists, p.dir, "restore")
	if text, _ := os.ReadFile(statePath(p.dir)); string(text) != "earlier" || p.addresses() != before {
		t.Errorf("state file %q, addresses %s", text, p.addresses())
	}
	_, err = Restore(p.dir)
	wantError(t, err, nil, statePath(p.dir), "remove the file")
}

func TestTakeOnAFullDiskChangesNothing(t *testing.T) {
	p, _ := newCrowdedPod(t)
	if err := unix.Mount("tmpfs", p.dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("needs a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(p.dir, unix.MNT_DETACH) })
	lock, err := Lock(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(p.dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	before := p.snapshot()
	_, err = Take(p.discover(), p.dir, p.log)
	wantError(t, err, unix.ENOSPC, p.dir)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)

	taken := p.take() // now it succeeds; restoring must succeed on a full disk, too
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	taken.tx.silence.Close() // as the kernel does when the process is killed
	lock.Close()
	if _, err := Restore(p.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

func TestTakeInAnUnusableDirectoryChangesNothing(t *testing.T) {
	p, before := newCrowdedPod(t)
	dir := filepath.Join(p.dir, "file", "state")
	if err := os.WriteFile(filepath.Join(p.dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Take(p.discover(), dir, p.log)
	wantError(t, err, unix.ENOTDIR, dir)
	_, err = Lock(dir)
	wantError(t, err, unix.ENOTDIR, dir, "--state-dir")
	if err := os.Remove(filepath.Join(p.dir, "file")); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

func TestTakeRefusesAChangedInterface(t *testing.T) {
	p, _ := newCrowdedPod(t)
	id := p.discover()
	p.ip("addr add 10.24.0.1/16 dev eth0")
	_, err := Take(id, p.dir, p.log)
	wantError(t, err, nil, "changed", "10.24.0.1/16")
	p.ip("addr flush dev eth0")
	_, err = Take(p.discover(), p.dir, p.log)
	wantError(t, err, nil, "eth0 has no address")
	if names := p.files(); len(names) > 0 {
		t.Errorf("left in the state directory: %v", names)
	}
}

func TestAFailedTakeChangesNothing(t *testing.T) {
	tests := []struct {
		name  string
		hooks func(*pod) testHooks
		word  string
	}{
		{"no privilege for nftables", func(*pod) testHooks {
			return testHooks{silence: func(*Identity) (io.Closer, error) { return nil, unix.EPERM }}
		}, "CAP_NET_ADMIN"},
		{"another program adds an address", func(p *pod) testHooks {
			return testHooks{afterStep: func(step string) {
				if step == "silence the kernel" {
					p.ip("addr add 198.51.100.1/24 dev lo\naddr add 198.51.100.2/24 dev eth0")
				}
			}}
		}, "198.51.100.2/24"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, before := newCrowdedPod(t)
			_, err := takeWithHooks(p.discover(), p.dir, p.log, test.hooks(p))
			wantError(t, err, nil, test.word)
			if strings.Contains(p.addresses(), "198.51.100.2") { // it stays, because podswitch did not add it
				p.ip("addr del 198.51.100.2/24 dev eth0\naddr del 198.51.100.1/24 dev lo")
			}
			p.wantAs(before)
		})
	}
}

func TestTakeRemovesTheLastAddressFirst(t *testing.T) {
	p, _ := newCrowdedPod(t)
	p.sysctl("net/ipv4/conf/eth0/promote_secondaries", "1")
	want := p.discover().Addresses
	taken, err := takeWithHooks(p.discover(), p.dir, p.log, testHooks{afterStep: func(step string) {
		if step != "remove an address" {
			return
		}
		want = want[:len(want)-1]
		conn, err := openRtnetlink()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.close()
		have, err := conn.addresses(IPv4, p.link("eth0").Index)
		if err != nil || !slices.Equal(have, want) {
			t.Errorf("left: %v, %v, want %v", have, err, want)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
}

func TestASecondTakeFailsAndUndoesNothing(t *testing.T) {
	p, before := newCrowdedPod(t)
	id := p.discover()
	taken := p.take()
	_, err := Discover("eth0", IPv4)
	wantError(t, err, ErrTaken, "eth0")
	// The second one has read the identity before the first one took the address.
	_, err = Take(id, t.TempDir(), p.log)
	wantError(t, err, ErrTaken, "eth0")
	if left := p.addresses(); left != "" {
		t.Fatalf("the second one gave back what the first one took:\n%s", left)
	}
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

func TestOneOfTwoConcurrentTakesFails(t *testing.T) {
	p, before := newCrowdedPod(t)
	id := p.discover()
	var first *Taken
	other := t.TempDir()
	_, err := takeWithHooks(id, other, p.log, testHooks{afterStep: func(step string) {
		if step == "write the state file" { // after the checks of the second one, before its table
			first = p.take()
		}
	}})
	wantError(t, err, ErrTaken)
	if left := p.addresses(); left != "" {
		t.Fatalf("the second one gave back what the first one took:\n%s", left)
	}
	if exists, err := stateExists(other); exists || err != nil {
		t.Fatalf("state file of the second one: %t, %v", exists, err)
	}
	if err := first.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

func TestChangesListsEveryChange(t *testing.T) {
	p, _ := newCrowdedPod(t)
	all := p.discover().Changes()
	for _, want := range []string{
		"state file", "nftables", "10.22.0.9/24", "10.22.0.10/24", "10.23.0.1/16", "default via 10.22.0.1 mtu 1400",
		"default via 10.22.0.1 table 100", "10.22.0.1 lladdr 02:00:00:00:00:01 permanent",
	} {
		if !slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("no change with %q in\n%s", want, strings.Join(all, "\n"))
		}
	}
}
