package e2e

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// soakTime is the duration of TestSoak with -soak.
var soakTime = flag.Duration("soak-time", 10*time.Minute, "duration of TestSoak with -soak")

// TestSoak repeats the events in the life of a guest: mixed traffic, new leases, a lost device, a pod interface that goes down and up, and
// hostile clients of the control socket. Memory, descriptors and threads must not grow, and no frame may be unaccounted for. It runs three
// rounds, or ten minutes with -soak. Of those, it ignores the first two, in which the keeper's heap of less than 1 MiB grows until Go's
// first garbage collection.
func TestSoak(t *testing.T) {
	l := newLab(t)
	l.pod.serves("serve-text", "127.0.0.1:8080", "hello from the pod")
	p := l.podswitch("--guest", "packet:v0", "--keep", "tcp/8080")
	warmUp, rounds := 1, func(round int, _ time.Duration) bool { return round < 3 }
	if *soak {
		rounds = func(_ int, since time.Duration) bool { return since < *soakTime }
	}
	var seen []usage
	started := time.Now()
	for round := 0; rounds(round, time.Since(started)); round++ {
		l.soakOnce(round)
		seen = append(seen, l.usage(p))
		if *soak && time.Since(started) < *soakTime/5 {
			warmUp = len(seen)
		}
	}
	l.expectFlat(seen[warmUp:])
	l.expectConserved()
	for i := 0; i < len(seen); i += max(1, len(seen)/30) {
		t.Logf("round %d: %+v", i, seen[i])
	}
	t.Logf("%d rounds in %s", len(seen), time.Since(started).Round(time.Second))
	p.stop()
}

// soakOnce runs one round, with a new device for the guest.
func (l *lab) soakOnce(round int) {
	l.t.Helper()
	l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450 up")
	l.plugGuest()
	mac := fmt.Sprintf("02:00:00:00:%02x:%02x", round>>8, round&0xff)
	l.guest.batch("link set tap0 down", "link set tap0 address "+mac, "link set tap0 up")
	l.guest.must(l.guest.as("dhcp-flood", "tap0", "2000")...)
	await(l.t, "a lease for the guest of this round", func() error {
		l.udhcpc("tap0")
		if s := l.status(); s.Lease == nil || s.Lease.MAC != mac {
			return fmt.Errorf("the lease is %+v", s.Lease)
		}
		return nil
	})
	l.awaitHolder("guest")
	tcp, udp := l.pourBoth(), l.countBoth(1000)
	l.abuseControl()
	if got := l.peer.must(l.peer.as("fetch", podAddress+":8080")...); got != "hello from the pod\n" {
		l.t.Errorf("the kept port sends %q", got)
	}
	l.guest.must("ping", "-q", "-c20", "-i0.02", "-W2", peerAddress)
	tcp.end()
	udp.end()
	l.pod.batch("link set eth0 down", "link set eth0 up")
	await(l.t, "the guest to be connected again", func() error { return pings(l.guest, peerAddress) })
	l.pod.batch("link del v0")
	l.awaitHolder("switch")
}

// abuseControl opens connections to the control socket that send nothing, nonsense, too much, or an incomplete request, and closes half of
// them. Then the control socket must still answer a valid request.
func (l *lab) abuseControl() {
	l.t.Helper()
	path := filepath.Join(l.stateDir, "control.sock")
	for i := range 40 {
		c, err := net.Dial("unix", path)
		if err != nil {
			continue // the backlog is full
		}
		defer c.Close() // after the valid request was answered
		_ = c.SetDeadline(time.Now().Add(time.Second))
		texts := []string{"", "nonsense\r\n\r\n", "GET /status HTTP/1.1\r\n", "POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
			"GET /status HTTP/1.1\r\nX: " + strings.Repeat("x", 1<<16)}
		_, _ = c.Write([]byte(texts[i%len(texts)]))
		if i%2 == 0 {
			c.Close()
		}
	}
	await(l.t, "an answer to a valid request", func() error {
		if _, errs, code := l.verb("status", "--control", path); code != 0 {
			return fmt.Errorf("status: %s", errs)
		}
		return nil
	})
}

// A usage has the resources of each process of a run, the keeper first. Memory is RssAnon in KiB.
type usage struct{ kib, descriptors, threads []int }

// usage reads the resources of the processes of a run.
func (l *lab) usage(p *process) (w usage) {
	l.t.Helper()
	for _, m := range p.members() {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.pid))
		if err != nil {
			l.t.Fatal(err)
		}
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", m.pid))
		if err != nil {
			l.t.Fatal(err)
		}
		w.kib = append(w.kib, memoryKiB(l.t, m.pid, "RssAnon"))
		w.descriptors, w.threads = append(w.descriptors, len(fds)), append(w.threads, len(threads))
	}
	return w
}

// expectFlat compares the last third of the rounds with the first one: the medians of memory, which garbage collection makes vary, and the
// minima of descriptors and threads, because a connection may be open for the moment.
func (l *lab) expectFlat(seen []usage) {
	l.t.Helper()
	third := max(1, len(seen)/3)
	for i := range seen[0].kib {
		column := func(part []usage, of func(usage) []int) (list []int) {
			for _, w := range part {
				list = append(list, of(w)[i])
			}
			slices.Sort(list)
			return list
		}
		kib := func(w usage) []int { return w.kib }
		first, last := column(seen[:third], kib), column(seen[len(seen)-third:], kib)
		if was, is := first[len(first)/2], last[len(last)/2]; *soak && is > was*11/10 {
			l.t.Errorf("process %d has grown from %d to %d KiB, want at most 10 %% more", i, was, is)
		}
		for name, of := range map[string]func(usage) []int{
			"descriptors": func(w usage) []int { return w.descriptors }, "threads": func(w usage) []int { return w.threads },
		} {
			was, is := column(seen[:third], of)[0], column(seen[len(seen)-third:], of)[0]
			if is > was+2 {
				l.t.Errorf("process %d has %d %s, want at most 2 more than %d", i, is, name, was)
			}
		}
	}
}

// expectConserved checks that every received frame was transmitted or dropped under a reason. Frames that the kernel dropped before the
// switch read them do not count as received. Frames of the forwarder's own, such as ARP requests, make the difference negative.
func (l *lab) expectConserved() {
	l.t.Helper()
	var in, out, dropped int
	for _, p := range l.status().Ports {
		in, out = in+int(p.RxFrames), out+int(p.TxFrames)
		for reason, n := range p.Drops {
			if !strings.HasPrefix(reason, "receive-") {
				dropped += int(n)
			}
		}
	}
	missing := in - out - dropped
	if missing > 0 || missing < -in/100-10 {
		l.t.Errorf("of %d received frames, %d were transmitted and %d dropped: %d are unaccounted for", in, out, dropped, missing)
	}
	l.t.Logf("%d frames received, %d transmitted, %d dropped", in, out, dropped)
}
