package e2e

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
)

// One test for every network plugin: e2e/plugins/NAME is a profile, data in its head and a topology in functions of its
// shell script (e2e/plugins/README.md says what each means). Adding a plugin is adding a file.

// segmentBulk is how much a transfer between profiles' ends moves, in bytes.
const segmentBulk = 64 << 20

// TestPlugins runs the same guest on every profile and wants the same network for it.
func TestPlugins(t *testing.T) {
	var rows, missing []string
	for _, p := range readProfiles(t) {
		passed := false
		t.Run(p.name, func(t *testing.T) {
			plug(t, p).test()
			passed = !t.Failed()
		})
		if !passed { // or left out, or skipped
			missing = append(missing, p.name)
		}
		rows = append(rows, fmt.Sprintf("| [%s](plugins/%s.md) | %s | %s | passed |", p.facts["title"], p.name, p.facts["parts"], p.facts["shows"]))
	}
	if *updateDocs {
		if len(missing) > 0 {
			t.Fatalf("the table is not written: %v did not run or did not pass", missing)
		}
		writeTable(t, "plugins.md", "| plugin | made of | shows | result |", rows)
	}
}

func (l *plugged) test() {
	t := l.t
	l.reachesFrom(l.pod, "the pod's own kernel")
	before, learnt, counters := l.snapshot(), l.learnt(), l.forbidden()
	frames := l.capture(l.fact(t, "tap"))
	p := l.podswitch(l.list(t, "flags")...)
	l.leased()
	l.expectLease()
	l.reachesFrom(l.guest, "the guest")
	l.reachedFrom()
	l.expectSilence()
	l.expectPathMTU()
	l.forget()
	l.reachedFrom()
	for place, address := range l.targets() {
		await(t, "the guest to reach "+place+" again", func() error { return pings(l.guest, address) })
	}
	l.expectSegments()
	l.checkFrames(frames())
	if after := l.forbidden(); after != counters {
		t.Errorf("the node counted what must not leave\nbefore %s\nafter  %s", counters, after)
	}
	if after := l.learnt(); after != learnt {
		t.Errorf("the node had to learn\nbefore %s\nafter  %s", learnt, after)
	}
	p.stop()
	l.reachesFrom(l.pod, "the pod's own kernel, after")
	l.settle(before)
}

// settle compares the pod interface with what it was; the kernel's own traffic since then may have confirmed neighbours.
func (l *plugged) settle(before string) {
	l.t.Helper()
	if after := l.snapshot(); withoutNeighbours(after) != withoutNeighbours(before) {
		l.t.Errorf("the pod interface has changed\nbefore %s\nafter  %s", before, after)
	}
}

func withoutNeighbours(snapshot string) string {
	lines := strings.Split(strings.TrimSpace(snapshot), "\n")
	return strings.Join(lines[:len(lines)-1], "\n")
}

// targets are the addresses that everybody in a pod reaches, by the place that has them.
func (l *plugged) targets() map[string]string {
	targets := map[string]string{}
	for _, place := range []string{"local", "remote", "service"} {
		if address := l.fact(l.t, place); address != "-" {
			targets[place] = address
		}
	}
	return targets
}

// reachesFrom checks that a namespace reaches the gateway and every target, by ICMP, UDP and a TCP transfer.
func (l *plugged) reachesFrom(n namespace, who string) {
	l.t.Helper()
	if gateway := l.fact(l.t, "gateway-answers"); gateway != "-" {
		await(l.t, who+" to reach the gateway", func() error { return pings(n, gateway) })
	}
	targets := l.targets()
	for _, place := range slices.Sorted(maps.Keys(targets)) {
		await(l.t, who+" to reach "+place, func() error { return pings(n, targets[place]) })
		l.transfers(n, l.places[place], targets[place])
	}
}

// reachedFrom checks that the pods on this node and on the other one, and the node itself, reach the guest.
func (l *plugged) reachedFrom() {
	l.t.Helper()
	address, _, _ := strings.Cut(l.fact(l.t, "address"), "/")
	await(l.t, "the node to reach the guest", func() error { return pings(l.node, address) })
	for _, place := range []string{"local", "remote"} {
		if l.fact(l.t, place) != "-" {
			await(l.t, place+" to reach the guest", func() error { return pings(l.places[place], address) })
			l.transfers(l.places[place], l.guest, address)
		}
	}
}

func pings(n namespace, address string) error {
	if out, _, code := n.run("ping", "-c1", "-W2", address); code != 0 {
		return fmt.Errorf("ping %s: %s", address, out)
	}
	return nil
}

// transfers moves checksummed bytes over TCP and datagrams of several sizes over UDP.
func (l *plugged) transfers(client, server namespace, address string) {
	l.t.Helper()
	for _, role := range []string{"sink", "echo-udp"} {
		p := server.serves(role, ":5000")
		if role == "sink" {
			client.must(client.as("source", address+":5000", fmt.Sprint(segmentBulk), "7")...)
		} else {
			client.must(client.as("ask-udp", address+":5000")...)
		}
		_ = p.cmd.Process.Kill()
		p.wait()
	}
}

// expectLease checks what the guest was told against the profile.
func (l *plugged) expectLease() {
	t := l.t
	if got, want := l.guest.addressed("tap0"), []string{l.fact(t, "address")}; !slices.Equal(got, want) {
		t.Errorf("address %v, want %v", got, want)
	}
	if got, want := fmt.Sprint(l.status().MTU), l.fact(t, "mtu"); got != want {
		t.Errorf("MTU %s, want %s", got, want)
	}
	var routes []string
	for _, line := range strings.Split(strings.TrimSpace(l.guest.must("ip", "-4", "route", "show", "dev", "tap0")), "\n") {
		if !strings.Contains(line, "proto kernel") {
			routes = append(routes, strings.ReplaceAll(strings.Join(strings.Fields(strings.TrimSuffix(strings.TrimSpace(line), "scope link")), " "), " ", "_"))
		}
	}
	slices.Sort(routes)
	want := l.list(t, "routes")
	slices.Sort(want)
	if !slices.Equal(routes, want) {
		t.Errorf("routes %v, want %v", routes, want)
	}
}

// expectSilence checks, where the address is to stay on the pod interface, that it is there, and that the pod's kernel does not
// answer as well: ping tells of a second answer.
func (l *plugged) expectSilence() {
	l.t.Helper()
	if l.facts["address-stays"] != "yes" {
		return
	}
	cidr := l.fact(l.t, "address")
	if got, want := l.pod.addressed("eth0"), []string{cidr}; !slices.Equal(got, want) {
		l.t.Errorf("the pod interface has %v, want %v", got, want)
	}
	address, _, _ := strings.Cut(cidr, "/")
	if out := l.node.must("ping", "-c3", "-i0.2", "-W2", address); strings.Contains(out, "DUP!") || strings.Contains(out, "duplicates") {
		l.t.Errorf("two answer for the address: %s", out)
	}
}

// expectPathMTU checks that exactly what the profile says passes to a remote pod, and that more is answered.
func (l *plugged) expectPathMTU() {
	l.t.Helper()
	remote := l.fact(l.t, "remote")
	if remote == "-" {
		return
	}
	var mtu int
	fmt.Sscan(l.fact(l.t, "mtu"), &mtu)
	l.guest.must("ping", "-c1", "-W2", "-M", "do", "-s", fmt.Sprint(mtu-28), remote)
	l.guest.batch(fmt.Sprintf("link set tap0 mtu %d", mtu+50))
	defer l.guest.batch(fmt.Sprintf("link set tap0 mtu %d", mtu))
	_, _, code := l.guest.run("ping", "-c1", "-W2", "-M", "do", "-s", fmt.Sprint(mtu-27), remote)
	if code == 0 {
		l.t.Errorf("a packet of %d bytes passed", mtu+1)
	}
	if out := l.guest.must("ip", "route", "get", remote); !strings.Contains(out, fmt.Sprintf("mtu %d", mtu)) {
		l.t.Errorf("the guest was not told the MTU of the path: %s", out)
	}
	l.guest.must("ip", "route", "flush", "cache")
}

// forget is a long silence: nobody around the switch remembers a neighbour that was not configured.
func (l *plugged) forget() {
	l.t.Helper()
	for _, n := range []namespace{l.guest, l.node, l.places["node2"], l.places["local"], l.places["remote"]} {
		for _, state := range []string{"reachable", "stale", "delay", "probe"} {
			n.must("ip", "neigh", "flush", "nud", state)
		}
	}
}

// expectSegments checks that segments of many packets passed whole, both ways, where the profile says that they do.
func (l *plugged) expectSegments() {
	l.t.Helper()
	if l.facts["segments"] != "yes" {
		return
	}
	var mtu float64
	fmt.Sscan(l.fact(l.t, "mtu"), &mtu)
	for _, p := range l.status().Ports {
		if p.Name != "guest" {
			continue
		}
		rx, tx := float64(p.RxBytes)/float64(p.RxFrames), float64(p.TxBytes)/float64(p.TxFrames)
		if rx < 2*mtu || tx < 2*mtu { // acknowledgements and pings count too
			l.t.Errorf("a frame carried %.0f bytes from and %.0f to the guest, the MTU is %.0f", rx, tx, mtu)
		}
	}
}

// checkFrames looks at what left the pod, in a capture at the node's end.
func (l *plugged) checkFrames(frames [][]byte) {
	l.t.Helper()
	address, _, _ := strings.Cut(l.fact(l.t, "address"), "/")
	w := wire{mac: l.mac(l.pod, "eth0"), address: address, macless: l.facts["macless"] == "yes"}
	others := strings.Fields(l.facts["others"])
	frames = slices.DeleteFunc(frames, func(frame []byte) bool {
		return slices.Contains(others, net.HardwareAddr(frame[6:12]).String())
	})
	for _, fault := range w.faults(frames) {
		l.t.Error(fault)
	}
}
