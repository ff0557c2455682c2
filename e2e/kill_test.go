package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// soak selects the long versions of tests.
var soak = flag.Bool("soak", false, "run the long versions: 200 rounds of kill -9, takeovers for a minute, ten minutes of everything")

// victims are the processes to kill in a round.
type victims struct {
	roles   []string
	restore bool // neither keeper nor watchdog is left, so that `podswitch restore` has to give back
}

func killRounds() []victims {
	return []victims{
		{roles: []string{switchRole}},
		{roles: []string{keeperRole}},
		{roles: []string{switchRole, keeperRole}},
		{roles: []string{watchdogRole, switchRole}},
		{roles: []string{watchdogRole, keeperRole}, restore: true},
		{roles: []string{keeperRole, switchRole, watchdogRole}, restore: true},
	}
}

// TestKill kills processes of podswitch at random moments under traffic, alone and together. Within a second of each kill the pod
// interface must be as before. The remaining processes restore it; only where neither keeper nor watchdog remains, `podswitch restore`
// does. The keeper starts no other switch (TestStreamsSurvive is about that).
func TestKill(t *testing.T) {
	bridge := plainBridge(t)
	for _, mode := range []struct {
		name        string
		lab         func(*testing.T) *lab
		guest       string // address of the guest
		args        []string
		short, long int // rounds
	}{
		{"move", newLab, podAddress, nil, 36, 200},
		{"mute", newLab, podAddress, []string{"--address", "mute"}, 12, 48},
		{"bridge", newLab, "10.244.1.50", []string{"--vm", bridge}, 12, 48},
		{"move, both versions", newDualLab, podAddress, nil, 12, 48},
		{"move, IPv6", newLab6, podAddress, nil, 6, 48},
		{"mute, both versions", newDualLab, podAddress, []string{"--address", "mute"}, 6, 48},
	} {
		t.Run(mode.name, func(t *testing.T) {
			l := mode.lab(t)
			l.reachesPeer()
			l.keepNeighbours()
			before, rounds, longest := l.pristine(), mode.short, time.Duration(0)
			if *soak {
				rounds = mode.long
			}
			for round := range rounds {
				v := killRounds()[round%len(killRounds())]
				longest = max(longest, l.killOnce(v, before, mode.guest, mode.args))
			}
			l.reachesPeer()
			t.Logf("%d rounds: the address was back after %s at most", rounds, longest.Round(time.Millisecond))
		})
	}
}

// plainBridge writes a VM document that leaves the pod its address.
func plainBridge(t *testing.T) (file string) {
	t.Helper()
	text := "kind: VM\nspec: {devices: {interfaces: [{name: red, bridge: {}}]}, networks: [{name: red, pod: {}}]}\n"
	return write(t, filepath.Join(t.TempDir(), "vm.yaml"), text, 0o644)
}

// killOnce runs podswitch with a guest that sends, kills the victims in random order at a random moment after it is ready, and returns the
// time from the kill until the pod interface had its address.
func (l *lab) killOnce(v victims, before, guest string, args []string) (took time.Duration) {
	l.t.Helper()
	p := l.launch(append([]string{"--hold-switch", "0s"}, args...)...)
	p.awaitText("ready")
	defer l.pours(guest)()
	moment := time.NewTimer(time.Duration(rand.IntN(150)) * time.Millisecond)
	<-moment.C
	members := p.members()
	rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	killed := time.Now()
	for _, m := range members {
		if slices.Contains(v.roles, m.role) {
			m.signal(syscall.SIGKILL)
		}
	}
	if v.restore {
		l.restoreTwice(members)
		killed = time.Now()
	}
	took = l.awaitAddress("the kill of "+strings.Join(v.roles, ", "), killed, time.Second)
	l.awaitPristine(before, "the kill of "+strings.Join(v.roles, ", "))
	awaitEnd(l.t, members)
	p.wait()
	return took
}

// restoreTwice runs `podswitch restore` twice after all processes have ended: the second run must succeed too.
func (l *lab) restoreTwice(members []*member) {
	l.t.Helper()
	awaitEnd(l.t, members)
	for range 2 {
		if out, errs, code := l.verb("restore", "--state-dir", l.stateDir); code != 0 {
			l.t.Fatalf("restore: exit code %d\n%s%s", code, out, errs)
		}
	}
}

// awaitPristine waits until the pod interface and the rules are as before, for at most a second. It is called when the address is back.
func (l *lab) awaitPristine(before, event string) {
	l.t.Helper()
	awaitFor(l.t, time.Second, "the pod interface to be as before "+event, func() error {
		if after := l.pristine(); after != before {
			return fmt.Errorf("it has changed\nbefore %s\nafter  %s", before, after)
		}
		return nil
	})
}

// pristine is a snapshot of the pod interface, and of the nftables rules that silence the kernel.
func (l *lab) pristine() string {
	l.t.Helper()
	return l.snapshot() + l.groupsAndSettings() + l.pod.must("nft", "list", "ruleset")
}

// TestKillAtStart kills the keeper, the switch, or both at random moments of the start, as far as they run by then.
func TestKillAtStart(t *testing.T) {
	l := newLab(t)
	l.keepNeighbours()
	before, rounds := l.pristine(), 12
	if *soak {
		rounds = 100
	}
	for range rounds {
		p := l.launch("--hold-switch", "0s")
		moment := time.NewTimer(time.Duration(rand.IntN(200)) * time.Millisecond)
		<-moment.C
		members, spared := p.members(), []string{watchdogRole, keeperRole, switchRole}[rand.IntN(3)]
		for _, m := range members {
			switch m.role {
			case watchdogRole:
			case spared:
				m.signal(syscall.SIGTERM)
			default:
				m.signal(syscall.SIGKILL)
			}
		}
		l.awaitAddress("the kill of all but the "+spared, time.Now(), time.Second)
		l.awaitPristine(before, "the kill of all but the "+spared)
		awaitEnd(t, members)
		p.wait()
	}
}
