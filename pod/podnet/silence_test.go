package podnet

import (
	"os/exec"
	"strings"
	"testing"
)

func TestTheKernelIsSilentWhileTaken(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	// The second address is on another interface. The kernel answers for it on eth0, too (arp_ignore 0).
	p.ip("addr add 10.244.1.7/24 dev eth0\naddr add 10.244.1.200/32 dev lo")
	addresses := []string{"10.244.1.7", "10.244.1.200"}
	for _, address := range addresses {
		n.awaitPing(address)
	}
	h := p.take()
	frames := newPacketSocket(t)
	p.ip("route add 10.244.1.1 dev eth0") // the kernel could answer a request that it receives
	for _, address := range addresses {
		if n.pings(address) {
			t.Errorf("%s answers while taken", address)
		}
	}
	if receivedFrames(t, frames) == 0 {
		t.Error("the packet socket has received nothing")
	}
	p.ip("route del 10.244.1.1 dev eth0")
	if err := h.GiveBack(); err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		n.awaitPing(address)
	}
}

func TestSysctlsSilenceAKernelWithoutNftables(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	p.ip("addr add 10.244.1.7/24 dev eth0\naddr add 10.244.1.200/32 dev lo")
	p.sysctl("net/ipv4/conf/eth0/arp_ignore", "2")
	p.sysctl("net/ipv4/conf/eth0/forwarding", "1")
	before := p.snapshot()
	h, err := takeWithHooks(p.discover(), p.dir, p.log, testHooks{silence: withoutNftables})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.readSysctl("net/ipv4/conf/eth0/arp_ignore") + p.readSysctl("net/ipv4/conf/eth0/forwarding"); got != "80" {
		t.Errorf("arp_ignore and forwarding are %s while taken, want 8 and 0", got)
	}
	if n.pings("10.244.1.200") {
		t.Error("the kernel answers while taken")
	}
	if err := h.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

func TestOnlyChangedSysctlsAreRecorded(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0")
	p.sysctl("net/ipv4/conf/eth0/arp_ignore", "1")
	p.sysctl("net/ipv4/conf/eth0/forwarding", "0")
	h, err := takeWithHooks(p.discover(), p.dir, p.log, testHooks{silence: withoutNftables})
	if err != nil {
		t.Fatal(err)
	}
	defer h.GiveBack()
	r, err := readRecord(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Sysctls) != 1 || r.Sysctls[0] != (sysctl{"arp_ignore", "1"}) {
		t.Errorf("recorded %v, want arp_ignore only", r.Sysctls)
	}
}

func TestSilenceExcludesTheKernelUntilItIsClosed(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	p.ip("addr add 10.244.1.7/24 dev eth0")
	silence, err := Silence("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if table := p.run("nft", "list", "table", "netdev", tableName(p.link("eth0"))); !strings.Contains(table, "owner") {
		t.Errorf("the table does not belong to the process: %s", table)
	}
	_, err = Silence("eth0")
	wantError(t, err, ErrTaken, "eth0")
	_, err = Discover("eth0")
	wantError(t, err, ErrTaken, "eth0")
	if n.pings("10.244.1.7") {
		t.Error("the kernel answers")
	}
	if err := silence.Close(); err != nil {
		t.Fatal(err)
	}
	n.awaitPing("10.244.1.7")
	_, err = Silence("eth9")
	wantError(t, err, nil, "eth9", "eth0")
}

func TestMuteLeavesTheAddressAndSilencesBothDirections(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	p.ip("addr add 10.244.1.7/24 dev eth0")
	n.awaitPing("10.244.1.7")
	// The state of a neighbour changes with time, unless it is permanent.
	p.ip("neigh replace 10.244.1.1 lladdr " + n.mac() + " dev eth0 nud permanent")
	before := p.snapshot()
	id := p.discover()
	mute, err := Mute(id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Mute(id)
	wantError(t, err, ErrTaken)
	_, err = Discover("eth0")
	wantError(t, err, ErrTaken)
	if got := p.addresses(); !strings.Contains(got, "10.244.1.7/24") {
		t.Errorf("addresses %q", got)
	}
	frames := newPacketSocket(t)
	if n.pings("10.244.1.7") {
		t.Error("the kernel answers while muted")
	}
	if receivedFrames(t, frames) == 0 {
		t.Error("the packet socket has received nothing")
	}
	if out, err := exec.Command("ping", "-c1", "-W1", "10.244.1.1").CombinedOutput(); err == nil {
		t.Errorf("the pod pings the node while muted: %s", out)
	}
	if err := mute.Close(); err != nil {
		t.Fatal(err)
	}
	n.awaitPing("10.244.1.7")
	p.wantAs(before)
}

func TestAMutedKernelForwardsNothing(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	p.ip("addr add 10.244.1.7/24 dev eth0\nlink add inner type veth peer name inner-peer netns " + n.pid + "\nlink set inner up\n" +
		"addr add 10.99.0.1/24 dev inner\nroute add 203.0.113.0/24 via 10.244.1.1")
	p.sysctl("net/ipv4/ip_forward", "1")
	n.run("ip", "addr", "add", "10.99.0.2/24", "dev", "inner-peer")
	n.run("ip", "link", "set", "inner-peer", "up")
	n.run("ip", "route", "add", "203.0.113.0/24", "via", "10.99.0.1")
	p.ip("neigh add 10.244.1.1 lladdr " + n.mac() + " dev eth0 nud permanent")
	n.run("nft", "add table ip seen; add chain ip seen pre { type filter hook prerouting priority raw; }; "+
		"add rule ip seen pre iifname node0 ip daddr 203.0.113.1 counter")
	forwards := func() bool {
		before := n.run("nft", "list", "table", "ip", "seen")
		n.pings("203.0.113.1") // no host has this address
		return n.run("nft", "list", "table", "ip", "seen") != before
	}
	await(t, "the pod forwards", forwards)
	mute, err := Mute(p.discover())
	if err != nil {
		t.Fatal(err)
	}
	if forwards() {
		t.Error("a muted kernel forwards")
	}
	if err := mute.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the pod forwards again", forwards)
}
