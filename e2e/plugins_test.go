package e2e

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// One test for every network plugin: e2e/plugins/NAME is a profile, data in its head and a topology in functions of its
// shell script (e2e/plugins/README.md says what each means). Adding a plugin is adding a file.

var updateDocs = flag.Bool("update-docs", false, "write the tables of docs/plugins.md and docs/guests.md from this run")

// segmentBulk is how much a transfer between profiles' ends moves, in bytes.
const segmentBulk = 64 << 20

// A profile is what a plugin's script says of itself.
type profile struct {
	name, script string
	facts        map[string]string
}

// fact returns a fact of the head of the script; a profile without it is broken.
func (p profile) fact(t *testing.T, name string) string {
	t.Helper()
	value, ok := p.facts[name]
	if !ok {
		t.Fatalf("profile %s lacks %q", p.name, name)
	}
	return value
}

// list splits a fact that is a list, "-" for an empty one.
func (p profile) list(t *testing.T, name string) []string {
	t.Helper()
	if value := p.fact(t, name); value != "-" {
		return strings.Fields(value)
	}
	return nil
}

func readProfiles(t *testing.T) []profile {
	t.Helper()
	files, err := filepath.Glob("plugins/*.sh")
	if err != nil || len(files) == 0 {
		t.Fatalf("no profiles: %v", err)
	}
	var profiles []profile
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		p := profile{strings.TrimSuffix(filepath.Base(file), ".sh"), script, map[string]string{}}
		scanner := bufio.NewScanner(bytes.NewReader(text))
		for scanner.Scan() && strings.HasPrefix(scanner.Text(), "#") {
			if name, value, ok := strings.Cut(strings.TrimPrefix(scanner.Text(), "# "), ": "); ok {
				p.facts[name] = strings.TrimSpace(value)
			}
		}
		profiles = append(profiles, p)
	}
	return profiles
}

// A plugged is a pod that a profile has made, with the places from which it is looked at.
type plugged struct {
	*lab
	profile
	places map[string]namespace // node, node2, local, remote, service
}

// plug makes the namespaces and lets the profile build its topology. What runs in the background ends with the test.
func plug(t *testing.T, p profile) *plugged {
	t.Helper()
	need(t, append([]string{"ip", "ping", "tcpdump"}, p.list(t, "needs")...)...)
	prefix := fmt.Sprintf("psw%d-%d-", os.Getpid(), labs.Add(1))
	l := &plugged{&lab{t: t, stateDir: t.TempDir()}, p, map[string]namespace{}}
	for _, place := range []string{"node", "node2", "local", "remote", "service"} {
		l.places[place] = newNamespace(t, prefix+place)
	}
	l.node, l.peer = l.places["node"], l.places["local"]
	l.pod, l.guest = newNamespace(t, prefix+"pod"), newNamespace(t, prefix+"guest")
	t.Cleanup(func() { l.call("down") })
	if out, code := l.call("up"); code != 0 {
		t.Fatalf("up: exit code %d\n%s", code, out)
	}
	return l
}

// tools makes sure of the Go programs that profiles are made of, and returns their folder.
var tools = sync.OnceValues(func() (folder string, err error) {
	cmd := exec.Command("kit/tools")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
})

// call runs a function of the profile's script; one that it does not define does nothing.
func (l *plugged) call(function string) (output string, code int) {
	l.t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", `source "$1"; if declare -F "$2" >/dev/null; then "$2"; fi`, "profile", l.script, function)
	cmd.Env = append(os.Environ(), "WORK="+l.stateDir, "NODE="+l.node.name, "NODE2="+l.places["node2"].name, "POD="+l.pod.name,
		"LOCAL="+l.places["local"].name, "REMOTE="+l.places["remote"].name, "SERVICE="+l.places["service"].name)
	if l.facts["tools"] == "yes" {
		folder, err := tools()
		if err != nil {
			l.t.Fatalf("kit/tools: %v", err)
		}
		cmd.Env = append(cmd.Env, "TOOLS="+folder)
	}
	// Output goes to a file: a daemon that keeps it open must not keep us waiting.
	file, err := os.Create(filepath.Join(l.stateDir, "profile-"+function))
	if err != nil {
		l.t.Fatal(err)
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	timer := time.AfterFunc(4*patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // the exit code says it
	text, err := os.ReadFile(file.Name())
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

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

// learnt is what the node's end knows of the pod.
func (l *plugged) learnt() string {
	l.t.Helper()
	out, code := l.call("learnt")
	if code != 0 {
		l.t.Fatalf("learnt: exit code %d\n%s", code, out)
	}
	return out
}

// forbidden are the node's counters of what must not leave.
func (l *plugged) forbidden() string {
	l.t.Helper()
	out, code := l.call("forbidden")
	if code != 0 {
		l.t.Fatalf("forbidden: exit code %d\n%s", code, out)
	}
	return out
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

// writeTable writes the results into a file of docs, between its markers. The header is the first row.
func writeTable(t *testing.T, name, header string, rows []string) {
	t.Helper()
	const begin, end = "<!-- results -->\n", "<!-- end -->\n"
	file := filepath.Join("../docs", name)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s lacks its markers", file)
	}
	table := header + "\n" + strings.Repeat("|---", strings.Count(header, "|")-1) + "|\n" + strings.Join(rows, "\n") + "\n"
	write(t, file, head+begin+table+end+tail, 0o644)
}
