package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestStreamsSurvive kills parts of podswitch with SIGKILL while connections from the guest and to it are in use, and starts again what does
// not start by itself. No connection breaks. The log has the longest time without an answer for each part.
func TestStreamsSurvive(t *testing.T) {
	for _, g := range guestKinds() {
		if !g.keeps {
			continue // the socket roles of these tests do not reconnect
		}
		t.Run("run, the switch, "+g.name, func(t *testing.T) {
			l := newLab(t)
			p := g.attached(l)
			l.survivesSwitches(p)
			p.stop()
		})
	}
	packet := guestKinds()[1]
	t.Run("run, the switch, IPv6", func(t *testing.T) {
		l := newLab6(t)
		p := packet.attached(l)
		l.survivesSwitches(p)
		l.survives("the switch, by takeovers", func(int) { l.takeover() })
		p.stop()
	})
	for name, lab := range map[string]func(*testing.T) *lab{"run, all processes": newLab, "run, all processes, IPv6": newLab6} {
		t.Run(name, func(t *testing.T) {
			l := lab(t)
			p := packet.attached(l)
			l.survives("all processes", func(int) {
				p.killAll()
				p = l.podswitch("--guest", "packet:v0", "--hold-after", "1h")
			})
			p.stop()
		})
	}
	t.Run("run, the keeper", func(t *testing.T) { testKeepersSurvived(t, packet) })
}

// survivesSwitches kills the switch of podswitch run, which starts another one.
func (l *lab) survivesSwitches(p *process) {
	l.t.Helper()
	l.survives("the switch", func(round int) {
		p.member(switchRole).signal(syscall.SIGKILL)
		awaitCount(l.t, p, "another switch continues", round+1)
	})
}

// testKeepersSurvived kills the keeper of podswitch run. Its watchdog leaves the address for the next one.
func testKeepersSurvived(t *testing.T, guest attachment) {
	l := newLab(t)
	before := l.addressCount()
	p := guest.attached(l, "--hold-keeper", "30s")
	l.survives("the keeper", func(int) {
		members := p.members()
		p.signal(syscall.SIGKILL)
		awaitEnd(t, members[:1])
		if now := l.addressCount(); now == before {
			t.Error("the address is back")
		}
		p = l.podswitch("--guest", "packet:v0", "--hold-after", "1h", "--hold-keeper", "30s")
		awaitEnd(t, members) // the watchdog is relieved
	})
	p.stop()
}

// TestStreamsSurviveContainers is TestStreamsSurvive for keeper and switch in containers of their own.
func TestStreamsSurviveContainers(t *testing.T) {
	own := []string{"--peer-pid-namespace", "any", "--guest", "packet:v0", "--hold-after", "1h", "--hold-stop", "1m"}
	s := newSplit(t, own...)
	before := s.addressCount()
	s.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450 up")
	p := s.startSwitch()
	s.leased()
	kills := 0 // of what the keeper's container outlives
	below := func(p *process) func(int) {
		return func(int) {
			p.killSupervised()
			kills++
			awaitCount(t, s.keeper, "another switch continues", kills)
		}
	}
	s.survives("the switch below its supervisor", below(p))
	s.survives("the keeper below its supervisor", below(s.keeper))
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		how := "by " + unix.SignalName(sig)
		s.survives("the switch's container, "+how, func(int) { p.end(sig); p = s.startSwitch() })
		s.survives("the keeper's container, "+how, func(int) {
			s.keeper.end(sig)
			s.startKeeper(own...)
			s.keeper.awaitText("another switch continues")
		})
		s.survives("both containers, "+how, func(int) {
			p.end(sig)
			s.keeper.end(sig)
			s.startKeeper(own...)
			p = s.startSwitch()
		})
	}
	s.unplugGuest()
	p.stop()
	s.keeper.stop()
	if after := s.addressCount(); after != before {
		t.Errorf("%d addresses, want %d", after, before)
	}
}

// end sends a signal to a process, and waits for its end.
func (p *process) end(sig syscall.Signal) {
	p.t.Helper()
	p.signal(sig)
	p.wait()
}

// unplugGuest sets the guest's device down. A stop then gives the address back, in spite of --hold-stop.
func (s *split) unplugGuest() {
	s.t.Helper()
	s.pod.batch("link set v0 down")
	await(s.t, "the end of the guest", func() error {
		if state := s.status().Ports[0].State; state == "up" {
			return errors.New(state)
		}
		return nil
	})
}

// TestHoldPasses checks that the pod has its address back when no switch has started within the hold time, with the pod's kernel silent until
// then; and at once after an orderly stop of the switch, or of the keeper while it holds.
func TestHoldPasses(t *testing.T) {
	own := []string{"--peer-pid-namespace", "any", "--hold-switch", "2s"}
	s := newSplit(t, own...)
	before := s.pristine()
	p := s.startSwitch()
	p.signal(syscall.SIGKILL)
	killed := time.Now()
	s.keeper.awaitText("holding the pod address")
	if out, _, code := s.peer.run("ping", "-c1", "-W1", podAddress); code == 0 {
		t.Errorf("the pod address answers during the hold: %s", out)
	}
	s.awaitAddress("the hold time", time.Now(), 3*time.Second)
	if took := time.Since(killed); took < 2*time.Second {
		t.Errorf("the address is back after %s", took)
	}
	if after := s.pristine(); withoutNeighbours(after) != withoutNeighbours(before) {
		t.Errorf("before %s\nafter %s", before, after)
	}
	p = s.startSwitch()
	p.signal(syscall.SIGTERM)
	s.awaitAddress("SIGTERM to the switch", time.Now(), time.Second)
	p.wait()
	p = s.startSwitch()
	p.signal(syscall.SIGKILL)
	awaitCount(t, s.keeper, "holding the pod address", 2)
	s.keeper.stop()
	s.awaitAddress("SIGTERM to a keeper that holds", time.Now(), time.Second)
}

// TestSwitchFailsAgain checks that run ends with an error, and the address back, when its switch has been killed too often.
func TestSwitchFailsAgain(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	for round := range 6 {
		p.member(switchRole).signal(syscall.SIGKILL)
		if round < 5 {
			awaitCount(t, p, "another switch continues", round+1)
		}
	}
	l.awaitAddress("the last kill", time.Now(), time.Second)
	if code := p.wait(); code != 1 || !strings.Contains(p.text(), "ended unasked 6 times") {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
}

// TestStoppedSwitchOfKilledKeeper kills a keeper whose switch is stopped (SIGSTOP). The switch must not go on beside the kernel.
func TestStoppedSwitchOfKilledKeeper(t *testing.T) {
	l := newLab(t)
	cmd := exec.Command("ip", l.pod.in(program, "run", "--state-dir", l.stateDir)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // else the kernel would continue the stopped processes of an orphaned group
	p := startCmd(t, cmd)
	p.awaitText("ready")
	members := p.members()
	p.member(switchRole).signal(syscall.SIGSTOP)
	p.signal(syscall.SIGKILL)
	l.awaitAddress("the kill of the keeper", time.Now(), time.Second)
	awaitEnd(t, members) // the switch too, which is stopped
}

// TestStoppedSwitchElsewhere is the same for a switch that the keeper has not started. It ends when it goes on, and answers nothing of what
// has waited in its queue.
func TestStoppedSwitchElsewhere(t *testing.T) {
	l := newLab(t)
	path := filepath.Join(socketDir(t), "socket")
	k := l.pod.start(program, "keeper", "--listen", path, "--state-dir", l.stateDir)
	k.awaitText("waiting for a switch")
	p := l.pod.start(program, "run", "--keeper", path, "--wait", "0s")
	p.awaitText("ready")
	p.signal(syscall.SIGSTOP)
	l.peer.must("ip", "neigh", "flush", "all")
	l.peer.run("ping", "-c1", "-W1", podAddress) // its ARP requests wait
	k.signal(syscall.SIGKILL)
	l.awaitAddress("the kill of the keeper", time.Now(), time.Second)
	k.wait()
	replies := l.node.capture("vpod", "arp[6:2] = 2")
	p.signal(syscall.SIGCONT)
	p.wait()
	if n := len(replies()); n > 0 {
		t.Errorf("the switch has sent %d ARP replies", n)
	}
	l.peer.must("ping", "-c1", "-W2", podAddress)
}

// survives kills parts of podswitch several times while connections are in use.
func (l *lab) survives(what string, kill func(round int)) {
	l.t.Helper()
	b := l.beatBoth()
	var longest time.Duration
	const rounds = 3
	for round := range rounds {
		kill(round)
		l.awaitHolder("guest")
		longest = max(longest, b.resumed())
	}
	b.end()
	l.t.Logf("%d kills of %s: no connection broke, and the longest time without an answer was %s", rounds, what, longest)
}

func (l *lab) addressCount() int {
	l.t.Helper()
	return len(l.pod.addresses("eth0"))
}

// awaitCount waits until a process has written a text several times.
func awaitCount(t *testing.T, p *process, text string, times int) {
	t.Helper()
	await(t, fmt.Sprintf("%q %d times from %s", text, times, p.name), func() error {
		if n := strings.Count(p.text(), text); n < times {
			return fmt.Errorf("%d times", n)
		}
		select {
		case <-p.done:
			return errors.New("it has ended: " + p.text())
		default:
		}
		return nil
	})
}
