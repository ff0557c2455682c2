package podnet

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestMute shows that the address stays while the kernel neither hears nor speaks, and that all of it ends with Close.
func TestMute(t *testing.T) {
	p := newPod(t)
	node := p.newNode()
	p.ip("addr add 10.244.1.7/24 dev eth0")
	p.run(node[0], append(node[1:], "ip", "addr", "add", "10.244.1.1/24", "dev", "node0")...)
	await(t, "the pod to answer before", func() bool { return answers(node, "10.244.1.7") })
	// Time alone changes what the kernel says of a neighbour, unless it is permanent.
	p.ip("neigh replace 10.244.1.1 lladdr " + p.nodeMAC(node) + " dev eth0 nud permanent")
	before := p.snapshot()
	id := p.discover()
	mute, err := Mute(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Mute(id); !errors.Is(err, ErrTaken) {
		t.Errorf("a second Mute: %v", err)
	}
	if _, err := Discover("eth0"); !errors.Is(err, ErrTaken) {
		t.Errorf("Discover while muted: %v", err)
	}
	if got := p.addresses(); !strings.Contains(got, "10.244.1.7/24") {
		t.Errorf("addresses %q", got)
	}
	frames := packetSocket(t)
	if answers(node, "10.244.1.7") {
		t.Error("the kernel answers while muted")
	}
	if pending(t, frames) == 0 {
		t.Error("the packet socket saw nothing")
	}
	if out, err := exec.Command("ping", "-c1", "-W1", "10.244.1.1").CombinedOutput(); err == nil {
		t.Errorf("the pod's own ping passes while muted: %s", out)
	}
	if err := mute.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the pod to answer after", func() bool { return answers(node, "10.244.1.7") })
	p.wantAs(before)
}

// nodeMAC is the MAC of the node's end.
func (p *pod) nodeMAC(node []string) string {
	return strings.Fields(p.run(node[0], append(node[1:], "ip", "-br", "link", "show", "dev", "node0")...))[2]
}

func TestFirewallTables(t *testing.T) {
	p := newPod(t)
	if got, err := FirewallTables(); len(got) > 0 || err != nil {
		t.Errorf("tables %v, %v in a new namespace", got, err)
	}
	p.run("nft", "add", "table", "ip", "openshift-block-output")
	p.run("nft", "add", "table", "inet", "mesh")
	p.run("nft", "add", "table", "ip", tablePrefix+"7")
	if got, err := FirewallTables(); strings.Join(got, " ") != "openshift-block-output mesh" || err != nil {
		t.Errorf("tables %q, %v", got, err)
	}
}

// TestOtherRouting shows what the pod's kernel would send by other ways, or not at all.
func TestOtherRouting(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0\nroute add default via 10.244.1.1")
	id := p.discover()
	if e, err := DiscoverOtherRouting(id); err != nil || len(e.Denied)+len(e.Routes)+len(e.Rules) > 0 {
		t.Errorf("an ordinary pod: %+v, %v", e, err)
	}
	p.ip("link add net1 type veth peer name net1-peer\naddr add 10.55.0.2/24 dev net1\nlink set net1 up\nlink set net1-peer up\n" +
		"route add 10.88.0.0/16 via 10.55.0.1\nroute add blackhole 169.254.169.254/32\nroute add unreachable 10.66.0.0/16 metric 7\n" +
		"rule add from 10.244.1.7 table 100")
	e, err := DiscoverOtherRouting(id)
	if err != nil {
		t.Fatal(err)
	}
	var denied []string
	for _, r := range e.Denied {
		denied = append(denied, fmt.Sprintf("%s %d %d", r.Dst, r.Type, r.Metric))
	}
	if got := strings.Join(denied, ", "); got != "10.66.0.0/16 7 7, 169.254.169.254/32 6 0" { // RTN_UNREACHABLE, RTN_BLACKHOLE
		t.Errorf("denied %s", got)
	}
	if len(e.Routes) != 2 || len(e.Rules) != 1 || !strings.Contains(e.Rules[0], "10.244.1.7") {
		t.Errorf("%+v", e)
	}
}

// TestMuteForwards shows that a muted kernel forwards nothing either, and that it did before and does again.
func TestMuteForwards(t *testing.T) {
	p := newPod(t)
	node := p.newNode()
	inNode := func(args ...string) string { return p.run(node[0], append(node[1:], args...)...) }
	p.ip("addr add 10.244.1.7/24 dev eth0\nlink add inner type veth peer name inner-peer netns " + node[2] + "\nlink set inner up\n" +
		"addr add 10.99.0.1/24 dev inner\nroute add 203.0.113.0/24 via 10.244.1.1")
	p.sysctl("net/ipv4/ip_forward", "1")
	inNode("ip", "addr", "add", "10.244.1.1/24", "dev", "node0")
	inNode("ip", "addr", "add", "10.99.0.2/24", "dev", "inner-peer")
	inNode("ip", "link", "set", "inner-peer", "up")
	inNode("ip", "route", "add", "203.0.113.0/24", "via", "10.99.0.1")
	p.ip("neigh add 10.244.1.1 lladdr " + p.nodeMAC(node) + " dev eth0 nud permanent")
	inNode("nft", "add table ip seen; add chain ip seen pre { type filter hook prerouting priority raw; }; "+
		"add rule ip seen pre iifname node0 ip daddr 203.0.113.1 counter")
	forwarded := func() bool {
		before := inNode("nft", "list", "table", "ip", "seen")
		_ = exec.Command(node[0], append(node[1:], "ping", "-c1", "-W1", "203.0.113.1")...).Run() // nobody answers
		return inNode("nft", "list", "table", "ip", "seen") != before
	}
	await(t, "the pod to forward", forwarded)
	mute, err := Mute(p.discover())
	if err != nil {
		t.Fatal(err)
	}
	if forwarded() {
		t.Error("a muted kernel forwards")
	}
	if err := mute.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the pod to forward again", forwarded)
}
