package podnet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGiveBackLeavesIPv6RoutesOfOtherInterfaces checks that routes of another interface with the same destination and metric stay, and that those which
// have the pod address as their source have it again.
func TestGiveBackLeavesIPv6RoutesOfOtherInterfaces(t *testing.T) {
	for name, lines := range map[string]string{
		"the same prefix": "",
		"the same prefix with another MTU": `route del fd00:1::/64 dev eth0 proto kernel metric 256
			route append fd00:1::/64 dev eth0 proto kernel metric 256 mtu 1400`,
		"a source, and the other one first": `route append fd00:9::/64 dev net1
			route append fd00:9::/64 dev eth0 src fd00:1::7`,
		"a source, and the other one last": `route append fd00:9::/64 dev eth0 src fd00:1::7
			route append fd00:9::/64 dev net1`,
		"the source of the other one": `route append fd00:9::/64 dev net1 src fd00:1::7
			route append fd00:9::/64 dev eth0`,
		"a source, between one with a gateway and one without": `route append fd00:9::/64 via fd00:1::1 dev net1
			route append fd00:9::/64 dev eth0 src fd00:1::7
			route append fd00:9::/64 dev net1`,
		"a multipath route": `route append default via fd00:1::1 dev eth0 src fd00:1::7
			route append default via fd00:1::1 dev net1`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newIPv6Pod(t, false)
			p.ip("link add net1 type veth peer name node1\nlink set node1 up")
			p.sysctl("net/ipv6/conf/net1/accept_dad", "0")
			p.sysctl("net/ipv6/conf/net1/disable_ipv6", "0")
			p.ip("link set net1 up\naddr add fd00:1::8/64 dev net1")
			p.configureIPv6("addr add fd00:1::7/64 dev eth0\n" + lines)
			before := p.ipv6Snapshot()
			taken := p.takeBoth()
			if _, _, err := taken.Follow(); err != nil {
				t.Fatal(err)
			}
			if err := taken.GiveBack(); err != nil {
				t.Fatal(err)
			}
			p.wantIPv6As(before)
		})
	}
}

// TestFollowLeavesIPv4WithThePod checks that routes and neighbours of IPv4 are none of podswitch's if IPv6 alone is taken: following the interface finds no
// change, and those that the pod has at the end stay.
func TestFollowLeavesIPv4WithThePod(t *testing.T) {
	p := newIPv6Pod(t, false)
	p.ip("route add default via 10.244.1.1\nneigh add 10.244.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent")
	p.configureIPv6("addr add fd00:1::7/64 dev eth0\nroute add default via fd00:1::1")
	taken, err := Take(p.discoverBoth().Only(IPv6), p.dir, p.log)
	if err != nil {
		t.Fatal(err)
	}
	first, _, err := taken.Follow()
	if err != nil || first.has(IPv4) {
		t.Errorf("the identity has IPv4: %+v, %v", first, err)
	}
	p.ip("route replace default via 10.244.1.2\nneigh replace 10.244.1.1 lladdr 02:00:00:00:00:02 dev eth0 nud permanent")
	want := p.run("ip", "-4", "route") + p.run("ip", "-4", "neigh")
	if id, _, err := taken.Follow(); err != nil || id != first {
		t.Errorf("with changes of IPv4, the identity is another one: %+v, %v", id, err)
	}
	err = taken.GiveBack()
	if diff := cmp.Diff(want, p.run("ip", "-4", "route")+p.run("ip", "-4", "neigh")); diff != "" || err != nil {
		t.Errorf("%v, IPv4 of the pod differs (-before +after):\n%s", err, diff)
	}
}
