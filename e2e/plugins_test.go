package e2e

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// One test for all network plugins. e2e/plugins/NAME.sh is the profile of a plugin: facts in its head, and functions that make the topology
// (e2e/plugins/README.md documents both). CONTRIBUTING.md says how to add one.

// segmentBulk is the size of a transfer between two ends of a profile, in bytes.
const segmentBulk = 64 << 20

// TestPlugins checks that the same guest has the same network on every profile.
func TestPlugins(t *testing.T) {
	var rows, missing []string
	for _, p := range readProfiles(t) {
		results := []string{"IPv4"}
		if p.facts["address6"] != "" {
			results[0] = "dual-stack"
		}
		passed := p.passes(t, p.name, false)
		if p.facts["only6"] == "yes" {
			results = append(results, "IPv6 only")
			passed = p.passes(t, p.name+", IPv6 only", true) && passed
		}
		if !passed { // failed, skipped, or excluded by -run
			missing = append(missing, p.name)
		}
		rows = append(rows, fmt.Sprintf("| [%s](plugins/%s.md) | %s | %s | %s |",
			p.facts["title"], p.name, p.facts["parts"], p.facts["shows"], strings.Join(results, ", ")))
	}
	if *updateDocs {
		if len(missing) > 0 {
			t.Fatalf("the table is not written: %v did not run or did not pass", missing)
		}
		writeTable(t, "plugins.md", "| plugin | made of | shows | pods that passed |", rows)
	}
}

// passes runs the test with a profile, and reports whether it ran and passed.
func (p profile) passes(t *testing.T, name string, only6 bool) (passed bool) {
	t.Run(name, func(t *testing.T) {
		newPluginLab(t, p, only6).test()
		passed = !t.Failed()
	})
	return passed
}

func (l *pluginLab) test() {
	t := l.t
	l.reachesFrom(l.pod, "the pod's own kernel")
	before, learnt, counters := l.snapshot(), l.learnt(), l.forbidden()
	frames := l.capture(l.fact(t, "tap"))
	p := l.podswitch(l.list(t, "flags")...)
	l.connects()
	l.expectLease()
	l.reachesFrom(l.guest, "the guest")
	l.reachedFrom()
	l.expectSilence()
	l.expectPathMTU()
	l.forget()
	l.reachedFrom()
	for _, to := range l.targets() {
		await(t, "the guest to reach "+to.place+" again", func() error { return pings(l.guest, to.address) })
	}
	l.expectSegments()
	l.checkFrames(frames())
	if after := l.forbidden(); after != counters {
		t.Errorf("forbidden frames left the pod\nbefore %s\nafter  %s", counters, after)
	}
	if after := l.learnt(); after != learnt {
		t.Errorf("the node has learned\nbefore %s\nafter  %s", learnt, after)
	}
	p.stop()
	l.reachesFrom(l.pod, "the pod's own kernel, after")
	l.settle(before)
}

// connects gives the guest the pod's addresses: IPv4 by DHCP, IPv6 by configuration and a router advertisement.
func (l *pluginLab) connects() {
	l.t.Helper()
	l.plugGuest()
	if slices.Contains(l.versions, "") {
		l.udhcpc("tap0")
	}
	if slices.Contains(l.versions, "6") {
		address, _, _ := strings.Cut(l.fact(l.t, "address6"), "/")
		l.uses6(address)
	}
	l.awaitHolder("guest")
}

// settle checks that the pod interface is as before, except for neighbours, which the kernel's own traffic may have confirmed since.
func (l *pluginLab) settle(before string) {
	l.t.Helper()
	if after := l.snapshot(); withoutNeighbours(after) != withoutNeighbours(before) {
		l.t.Errorf("the pod interface has changed\nbefore %s\nafter  %s", before, after)
	}
}

func withoutNeighbours(snapshot string) string {
	lines := strings.Split(strings.TrimSpace(snapshot), "\n")
	return strings.Join(lines[:len(lines)-1], "\n")
}

// A target is an address that every pod must reach, and its place.
type target struct{ place, address string }

func (l *pluginLab) targets(places ...string) (targets []target) {
	if places == nil {
		places = []string{"local", "remote", "service"}
	}
	for _, version := range l.versions {
		for _, place := range places {
			if address := l.fact(l.t, place+version); address != "-" {
				targets = append(targets, target{place, address})
			}
		}
	}
	return targets
}

// reachesFrom checks that a namespace reaches the gateway by ICMP, and every target by ICMP, UDP and TCP.
func (l *pluginLab) reachesFrom(n namespace, from string) {
	l.t.Helper()
	for _, version := range l.versions {
		if gateway := l.fact(l.t, "gateway-answers"+version); gateway != "-" {
			await(l.t, from+" to reach the gateway", func() error { return pings(n, gateway) })
		}
	}
	for _, to := range l.targets() {
		await(l.t, from+" to reach "+to.place, func() error { return pings(n, to.address) })
		l.transfers(n, l.places[to.place], to.address)
	}
}

// reachedFrom checks that the node, and the pods on it and on another node, reach the guest.
func (l *pluginLab) reachedFrom() {
	l.t.Helper()
	for _, address := range l.addresses() {
		await(l.t, "the node to reach the guest", func() error { return pings(l.node, address) })
		for _, from := range l.targets("local", "remote") {
			if strings.Contains(from.address, ":") != strings.Contains(address, ":") {
				continue
			}
			await(l.t, from.place+" to reach the guest", func() error { return pings(l.places[from.place], address) })
			l.transfers(l.places[from.place], l.guest, address)
		}
	}
}

func pings(n namespace, address string) error {
	if out, _, code := n.run("ping", "-c1", "-W2", address); code != 0 {
		return fmt.Errorf("ping %s: %s", address, out)
	}
	return nil
}

// transfers moves segmentBulk bytes over TCP, and datagrams of several sizes over UDP, and checks their contents.
func (l *pluginLab) transfers(client, server namespace, address string) {
	l.t.Helper()
	for _, role := range []string{"sink", "echo-udp"} {
		p := server.serves(role, ":5000")
		if role == "sink" {
			client.sends(net.JoinHostPort(address, "5000"), segmentBulk)
		} else {
			client.must(client.as("ask-udp", net.JoinHostPort(address, "5000"))...)
		}
		_ = p.cmd.Process.Kill()
		p.wait()
	}
}

// expectLease checks that the guest has the address, MTU and routes of the profile.
func (l *pluginLab) expectLease() {
	t := l.t
	if slices.Contains(l.versions, "6") {
		got := strings.TrimSpace(l.guest.must("cat", "/proc/sys/net/ipv6/conf/tap0/mtu"))
		if want := l.fact(t, "mtu"); got != want {
			t.Errorf("MTU of IPv6 %s, want %s", got, want)
		}
	}
	if !slices.Contains(l.versions, "") {
		return
	}
	if got, want := l.guest.addresses("tap0"), []string{l.fact(t, "address")}; !slices.Equal(got, want) {
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

// expectSilence checks a profile whose address stays on the pod interface: the address is there, and the pod's kernel does not answer for
// it, which ping would report as a duplicate.
func (l *pluginLab) expectSilence() {
	l.t.Helper()
	if l.facts["address-stays"] != "yes" {
		return
	}
	cidr := l.fact(l.t, "address")
	if got, want := l.pod.addresses("eth0"), []string{cidr}; !slices.Equal(got, want) {
		l.t.Errorf("the pod interface has %v, want %v", got, want)
	}
	address, _, _ := strings.Cut(cidr, "/")
	if out := l.node.must("ping", "-c3", "-i0.2", "-W2", address); strings.Contains(out, "DUP!") || strings.Contains(out, "duplicates") {
		l.t.Errorf("the pod address is answered twice: %s", out)
	}
}

// expectPathMTU checks that a packet of the path's MTU reaches a remote pod, and that a larger one gets an ICMP error with that MTU.
func (l *pluginLab) expectPathMTU() {
	l.t.Helper()
	var mtu int
	fmt.Sscan(l.fact(l.t, "mtu"), &mtu)
	l.guest.batch(fmt.Sprintf("link set tap0 mtu %d", mtu+50))
	for _, remote := range l.targets("remote") {
		path := mtu
		if strings.Contains(remote.address, ":") {
			fmt.Sscan(l.facts["remote-mtu6"], &path)
		}
		l.expectPathMTUOf(remote.address, path)
	}
	l.guest.batch(fmt.Sprintf("link set tap0 mtu %d", mtu))
}

func (l *pluginLab) expectPathMTUOf(remote string, mtu int) {
	l.t.Helper()
	version, headers := "-4", 28 // of IP and ICMP
	if strings.Contains(remote, ":") {
		version, headers = "-6", 48
	}
	l.guest.must("ip", version, "route", "flush", "cache")
	l.guest.must("ping", "-c1", "-W2", "-M", "do", "-s", fmt.Sprint(mtu-headers), remote)
	_, _, code := l.guest.run("ping", "-c1", "-W2", "-M", "do", "-s", fmt.Sprint(mtu-headers+1), remote)
	if code == 0 {
		l.t.Errorf("a packet of %d bytes passed", mtu+1)
	}
	if out := l.guest.must("ip", "route", "get", remote); !strings.Contains(out, fmt.Sprintf("mtu %d", mtu)) {
		l.t.Errorf("the guest has not learned the MTU of the path: %s", out)
	}
	l.guest.must("ip", version, "route", "flush", "cache")
}

// forget flushes all neighbours around the switch that were not configured, as a long time without traffic would.
func (l *pluginLab) forget() {
	l.t.Helper()
	for _, n := range []namespace{l.guest, l.node, l.places["node2"], l.places["local"], l.places["remote"]} {
		for _, state := range []string{"reachable", "stale", "delay", "probe"} {
			n.must("ip", "neigh", "flush", "nud", state)
		}
	}
}

// expectSegments checks that large segments passed the switch both ways, where the profile has segments.
func (l *pluginLab) expectSegments() {
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
		if rx < 2*mtu || tx < 2*mtu { // the mean includes acknowledgements and pings
			l.t.Errorf("the mean frame has %.0f bytes from and %.0f to the guest, want twice the MTU of %.0f", rx, tx, mtu)
		}
	}
}

// checkFrames checks the frames that left the pod, from a capture at the node's end.
func (l *pluginLab) checkFrames(frames [][]byte) {
	l.t.Helper()
	w := wire{mac: l.mac(l.pod, "eth0"), addresses: l.addresses(), macless: l.facts["macless"] == "yes", linkLocal: l.pod.linkLocal("eth0")}
	others := strings.Fields(l.facts["others"])
	frames = slices.DeleteFunc(frames, func(frame []byte) bool {
		return slices.Contains(others, net.HardwareAddr(frame[6:12]).String())
	})
	for _, fault := range w.faults(frames) {
		l.t.Error(fault)
	}
}
