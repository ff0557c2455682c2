package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Tests of the pod interface after podswitch has ended, and of a start after a crash.

// TestGiveBack ends podswitch at random moments under traffic. Each time the address must be back within a second, and the pod interface
// must be as before.
func TestGiveBack(t *testing.T) {
	for _, kind := range []struct {
		name   string
		lab    func(*testing.T) *lab
		rounds int
	}{{"IPv4", newLab, 20}, {"both versions", newDualLab, 8}, {"IPv6", newLab6, 4}} {
		t.Run(kind.name, func(t *testing.T) {
			l := kind.lab(t)
			l.reachesPeer()
			l.keepNeighbours()
			before := l.snapshot()
			for round := range kind.rounds {
				l.stopOnce()
				if after := l.snapshot(); after != before {
					t.Fatalf("round %d: the pod interface has changed\nbefore %s\nafter  %s", round, before, after)
				}
			}
			l.reachesPeer()
		})
	}
}

// reachesPeer checks that the pod's kernel has the pod's addresses.
func (l *lab) reachesPeer() {
	l.t.Helper()
	for _, end := range l.ends {
		l.pod.must("ping", "-c1", "-W2", end.peer)
		l.peer.must("ping", "-c1", "-W2", end.pod)
	}
}

// keepNeighbours leaves the pod's kernel only neighbours whose state does not change with time, so that snapshots can be compared. Node
// and peer get a permanent entry for the pod, because an ARP request from them would change the entry that the pod's kernel has for them.
func (l *lab) keepNeighbours() {
	l.t.Helper()
	l.pod.batch("neigh replace 10.244.1.200 lladdr 02:00:00:00:00:c8 dev eth0 nud permanent",
		"neigh replace 10.244.1.1 lladdr "+l.mac(l.node, "cni0")+" dev eth0 nud stale", "neigh flush 10.244.1.8 dev eth0")
	l.peer.batch("neigh replace 10.244.1.7 lladdr " + podMAC + " dev eth0 nud permanent")
	l.node.batch("neigh replace 10.244.1.7 lladdr " + podMAC + " dev cni0 nud permanent")
	if l.hasIPv6() {
		l.pod.batch("neigh replace fd00:10:244:1::c8 lladdr 02:00:00:00:00:c8 dev eth0 nud permanent", "-6 neigh flush dev eth0")
		l.peer.batch("neigh replace " + podAddress6 + " lladdr " + podMAC + " dev eth0 nud permanent")
		l.node.batch("neigh replace " + podAddress6 + " lladdr " + podMAC + " dev cni0 nud permanent")
	}
}

func (l *lab) mac(n namespace, device string) string {
	l.t.Helper()
	return strings.TrimSpace(n.must("cat", "/sys/class/net/"+device+"/address"))
}

// stopOnce runs podswitch with a guest that sends, and stops it at a random moment up to half a second after its start.
func (l *lab) stopOnce() {
	l.t.Helper()
	p := l.launch()
	delay := time.Duration(rand.IntN(500)) * time.Millisecond
	timer := time.NewTimer(delay)
	defer timer.Stop()
	if delay > 100*time.Millisecond {
		p.awaitText("ready")
		defer l.pours()()
	}
	<-timer.C
	members := p.members()
	p.signal(syscall.SIGTERM)
	l.awaitAddress("SIGTERM", time.Now(), time.Second)
	if code := p.wait(); code != 0 && !(code == -1 && delay < 100*time.Millisecond) { // before podswitch has installed its handler, the signal kills it
		l.t.Fatalf("exit code %d\n%s", code, p.text())
	}
	awaitEnd(l.t, members)
}

// pours plugs in a guest with the pod's addresses, or with an IPv4 address of its own, which sends without a pause until the returned
// function is called.
func (l *lab) pours(own ...string) (stop func()) {
	l.t.Helper()
	l.plugGuest()
	for _, end := range l.ends {
		if end.pod == podAddress6 {
			l.guest.batch("addr add "+podAddress6+"/128 dev tap0 nodad", "-6 route add default dev tap0")
			continue
		}
		address := append(own, podAddress)[0]
		l.guest.batch("addr add "+address+"/24 dev tap0", "route add default via 10.244.1.1")
	}
	traffic := l.guest.start("ping", "-q", "-f", "-w60", l.ends[len(l.ends)-1].peer)
	return func() {
		_ = traffic.cmd.Process.Kill() // fails if it has ended with its device
		traffic.wait()
	}
}

// TestSignals checks that podswitch stops in order when it gets several signals.
func TestSignals(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	p := l.podswitch()
	p.signal(syscall.SIGINT)
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
	if after := l.snapshot(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// TestSignalWhileReading checks that SIGTERM ends a command that waits for its standard input.
func TestSignalWhileReading(t *testing.T) {
	for _, verb := range []string{"replay --bridge -", "check -", "plan --vm -"} {
		cmd := exec.Command(program, strings.Fields(verb)...)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := stdin.Write([]byte{0xa1}); err != nil {
			t.Fatal(err)
		}
		await(t, verb+" to read", func() error {
			n, err := unix.IoctlGetInt(int(stdin.(*os.File).Fd()), unix.TIOCINQ)
			if n != 0 {
				err = fmt.Errorf("%d bytes are left", n)
			}
			return err
		})
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
		if s := cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGTERM {
			t.Errorf("%s: ended with %v, want SIGTERM", verb, cmd.ProcessState)
		}
	}
}

// TestMessagesUnread checks that podswitch gives the address back when the reader of its messages has closed the pipe, and when it does
// not read.
func TestMessagesUnread(t *testing.T) {
	for _, gone := range []bool{false, true} {
		l := newLab(t)
		before := l.snapshot()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("ip", l.pod.in(program, "run", "--state-dir", l.stateDir)...)
		cmd.Stderr = w
		if !gone {
			fill(t, w)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		await(t, "the address to be taken", func() error {
			if got := l.pod.addresses("eth0"); len(got) > 0 {
				return fmt.Errorf("eth0 has %v", got)
			}
			return nil
		})
		if gone {
			r.Close()
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("reader gone %v: podswitch ended with %v", gone, err)
			}
		case <-time.After(timeout):
			t.Fatalf("reader gone %v: podswitch has not ended after %s", gone, timeout)
		}
		if after := l.snapshot(); after != before {
			t.Errorf("reader gone %v: before %s\nafter %s", gone, before, after)
		}
		w.Close()
		r.Close()
	}
}

// fill writes to an empty pipe until it is full.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	size, err := unix.FcntlInt(w.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
}

// TestIdleGuest checks that a guest that only listens is reachable after podswitch was killed and started again.
func TestIdleGuest(t *testing.T) {
	l := newLab(t)
	l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450 up")
	p := l.podswitch("--guest", "packet:v0")
	l.leased()
	l.guest.serves("serve-text", ":80", "hello")
	p.killAll()
	p = l.podswitch("--guest", "packet:v0")
	await(t, "the guest to answer", func() error {
		if out, errs, code := l.peer.run(l.peer.as("fetch", podAddress+":80")...); code != 0 || out != "hello\n" {
			return errors.New(out + errs)
		}
		return nil
	})
	l.awaitHolder("guest")
	p.stop()
}

// TestCrashRecovery kills all processes of podswitch. A run that holds nothing must restore the pod interface first, and then serve the guest,
// which has kept its lease.
func TestCrashRecovery(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	p := l.podswitch()
	p.killAll()
	if got := l.pod.addresses("eth0"); len(got) != 0 {
		t.Fatalf("eth0 has %v after the kill", got)
	}
	p = l.podswitch("--hold-switch", "0s")
	p.awaitText("an earlier run did not give back")
	l.plugGuest()
	l.guest.batch("addr add 10.244.1.7/24 dev tap0", "route add default via 10.244.1.1") // the guest still has its lease
	await(t, "the guest to be connected again", func() error {
		if _, errs, code := l.guest.run("ping", "-c1", "-W1", peerAddress); code != 0 {
			return errors.New(errs)
		}
		return nil
	})
	l.awaitHolder("guest")
	p.stop()
	if after := l.snapshot(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}
