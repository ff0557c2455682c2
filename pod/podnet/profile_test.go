package podnet

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// A profile is the configuration of a pod as lines of an ip batch file, with the expected identity.
type profile struct {
	name    string
	lines   string
	address string // expected PodAddress; empty if none
	gateway string // expected Gateway; empty if none
	mtu     int
}

// plugins returns the configurations that network plugins create.
func plugins() []profile {
	return []profile{
		{"flannel", `link set eth0 mtu 1450
			addr add 10.244.1.7/24 brd 10.244.1.255 dev eth0
			route add default via 10.244.1.1
			route add 10.244.0.0/16 via 10.244.1.1 mtu 1400 advmss 1360`, "10.244.1.7/24", "10.244.1.1", 1450},
		{"calico", `link set eth0 mtu 1440
			addr add 192.168.103.70/32 dev eth0
			route add 169.254.1.1 dev eth0 scope link
			route add default via 169.254.1.1 dev eth0`, "192.168.103.70/32", "169.254.1.1", 1440},
		{"calico, onlink", `addr add 192.168.103.70/32 dev eth0
			route add default via 169.254.1.1 dev eth0 onlink`, "192.168.103.70/32", "169.254.1.1", 1500},
		{"aws", `addr add 192.168.21.225/32 dev eth0
			route add 169.254.1.1 dev eth0 scope link
			route add default via 169.254.1.1 dev eth0
			neigh add 169.254.1.1 lladdr 02:00:00:00:00:01 nud permanent dev eth0`, "192.168.21.225/32", "169.254.1.1", 1500},
		{"weave", `link set eth0 mtu 1376
			addr add 10.32.0.5/12 brd + dev eth0
			route add 224.0.0.0/4 dev eth0 scope link
			route add default via 10.32.0.1`, "10.32.0.5/12", "10.32.0.1", 1376},
		{"openshift", `link set eth0 mtu 1450
			addr add 10.128.0.16/23 brd + dev eth0
			route add 10.128.0.0/14 dev eth0
			route add 224.0.0.0/4 dev eth0
			route add 172.30.0.0/16 via 10.128.0.1
			route add default via 10.128.0.1`, "10.128.0.16/23", "10.128.0.1", 1450},
		{"cilium", `addr add 10.0.1.5/32 dev eth0
			route add 10.0.1.100 dev eth0 scope link
			route add default via 10.0.1.100 mtu 1450`, "10.0.1.5/32", "10.0.1.100", 1450},
		{"ptp", `addr add 10.22.0.9/24 brd + dev eth0
			route del 10.22.0.0/24 dev eth0
			route add 10.22.0.1 dev eth0 scope link src 10.22.0.9
			route add 10.22.0.0/24 via 10.22.0.1 src 10.22.0.9
			route add default via 10.22.0.1`, "10.22.0.9/24", "10.22.0.1", 1500},
	}
}

// oddities returns configurations that no known plugin creates, with the other features of the kernel.
func oddities() []profile {
	return []profile{
		{"two addresses, secondaries and labels", `addr add 169.254.7.7/16 scope link dev eth0
			addr add 10.1.0.2/24 brd + dev eth0 label eth0:a
			addr add 10.1.0.3/24 dev eth0 label eth0:b
			addr add 10.2.0.2/24 dev eth0 metric 40
			addr add 10.1.0.4/24 dev eth0
			addr add 10.3.0.1 peer 10.3.0.2/32 dev eth0 noprefixroute
			route add default via 10.2.0.1 src 10.1.0.3`, "10.1.0.2/24", "10.2.0.1", 1500},
		{"policy table", `addr add 10.244.1.7/24 dev eth0
			route add default via 10.244.1.1
			route add 10.99.0.0/16 via 10.244.1.1 table 100
			route add default via 10.244.1.254 table 1000 proto static
			route add 10.244.1.0/24 dev eth0 table 1000 proto kernel scope link src 10.244.1.7
			rule add from 10.244.1.7 table 1000`, "10.244.1.7/24", "10.244.1.1", 1500},
		{"metrics of many kinds", `addr add 10.244.1.7/24 dev eth0
			route add default via 10.244.1.9 metric 200
			route add default via 10.244.1.1 metric 100 mtu lock 1300
			route add default via 10.244.1.2 metric 100 tos 0x10
			route add 10.50.0.0/16 via 10.244.1.1 window 1000 rtt 20ms rttvar 5ms rto_min 50ms ssthresh 7 cwnd 8 initcwnd 9 initrwnd 10
			route add 10.51.0.0/16 via 10.244.1.1 hoplimit 11 reordering 4 features ecn quickack 1 congctl reno fastopen_no_cookie 1 realm 5
			route add 10.52.0.0/16 via 10.244.1.1 mtu lock 1400 advmss lock 1200 rto_min 50ms
			route append default via 10.244.1.3 metric 100
			route append default via 10.244.1.4 metric 100`, "10.244.1.7/24", "10.244.1.1", 1300},
		{"multipath over two links", `link add net1 type veth peer name node1
			link set net1 up
			link set node1 up
			addr add 172.16.0.2/24 dev net1
			addr add 10.244.1.7/24 dev eth0
			route add 10.70.0.0/16 nexthop via 10.244.1.1 weight 3 nexthop via 172.16.0.1 dev net1
			route add default nexthop via 10.244.1.1 weight 2 nexthop via 10.244.1.2 dev eth0 onlink
			route add 10.71.0.0/16 via 172.16.0.1 src 10.244.1.7`, "10.244.1.7/24", "10.244.1.1", 1500},
		{"the same routes over two links", `link add net1 type veth peer name node1
			link set net1 up
			link set node1 up
			addr add 10.244.1.7/24 dev eth0
			addr add 10.244.1.8/24 dev net1
			route add default via 10.244.1.1 dev eth0
			route append default via 10.244.1.1 dev net1
			route append default via 10.244.1.2 dev eth0
			route append 10.60.0.0/16 via 10.244.1.1 dev net1
			route append 10.60.0.0/16 via 10.244.1.1 dev eth0`, "10.244.1.7/24", "10.244.1.1", 1500},
		{"neighbours of many kinds", `addr add 10.244.1.7/24 dev eth0
			neigh add 10.244.1.1 lladdr 02:00:00:00:00:01 nud permanent dev eth0
			neigh add 10.244.1.2 lladdr 02:00:00:00:00:02 nud stale dev eth0 protocol static
			neigh add 10.244.1.3 lladdr 02:00:00:00:00:03 nud stale router dev eth0
			neigh add 10.244.1.4 lladdr 02:00:00:00:00:04 nud reachable dev eth0
			neigh add 10.244.1.5 lladdr 02:00:00:00:00:05 nud stale extern_learn dev eth0
			neigh add proxy 10.244.1.99 dev eth0`, "10.244.1.7/24", "", 1500},
		{"no global address", `addr add 169.254.3.4/16 scope link dev eth0
			addr add 169.254.3.5/32 dev eth0`, "", "", 1500},
		{"lifetimes", `addr add 10.244.1.7/24 dev eth0 valid_lft forever preferred_lft 0`, "10.244.1.7/24", "", 1500},
		{"routes of the local table", `addr add 10.244.1.7/24 dev eth0
			route add local 192.0.2.0/24 dev eth0
			route add blackhole 192.0.3.0/24`, "10.244.1.7/24", "", 1500},
	}
}

func TestGiveBackRestoresEveryProfile(t *testing.T) {
	for _, profile := range append(plugins(), oddities()...) {
		t.Run(profile.name, func(t *testing.T) {
			p := newPod(t)
			p.ip(profile.lines)
			before := p.snapshot()
			id := p.discover()
			wantIdentity(t, id, profile)
			p.wantAs(before)

			taken := p.take()
			if left := p.addresses(); left != "" {
				t.Fatalf("taken, but still on the interface:\n%s", left)
			}
			if info, err := os.Stat(statePath(p.dir)); err != nil || info.Mode() != 0o600 {
				t.Fatalf("state file: %v, %v; want mode 0600", info, err)
			}
			if _, err := Discover("eth0", IPv4); err == nil {
				t.Fatal("Discover of a taken interface: want an error")
			}
			for range 2 {
				if err := taken.GiveBack(); err != nil {
					t.Fatal(err)
				}
				p.wantAs(before)
			}
		})
	}
}

func wantIdentity(t *testing.T, id *Identity, want profile) {
	t.Helper()
	address, ok := id.PodAddress(IPv4)
	if got := address.String(); ok != (want.address != "") || ok && got != want.address {
		t.Errorf("PodAddress = %v, %t, want %q", got, ok, want.address)
	}
	gateway, ok := id.Gateway(IPv4)
	if got := gateway.String(); ok != (want.gateway != "") || ok && got != want.gateway {
		t.Errorf("Gateway = %v, %t, want %q", got, ok, want.gateway)
	}
	if got := id.MTU(IPv4); got != want.mtu {
		t.Errorf("MTU = %d, want %d", got, want.mtu)
	}
}

func TestUplinkRoutesAreThoseOfTheMainTableInOrder(t *testing.T) {
	p := newPod(t)
	p.ip(`addr add 10.244.1.7/24 dev eth0
		route add default via 10.244.1.1
		route add 10.244.0.0/16 via 10.244.1.1 metric 5
		route add 10.244.0.0/16 via 10.244.1.2 metric 4
		route add 10.99.0.0/16 via 10.244.1.1 table 100
		route add local 192.0.2.0/24 dev eth0`)
	id := p.discover()
	var got []string
	for _, r := range id.UplinkRoutes(IPv4) {
		got = append(got, r.String())
	}
	want := []string{
		"10.244.1.0/24 src 10.244.1.7 scope link",
		"10.244.0.0/16 via 10.244.1.2 metric 4",
		"10.244.0.0/16 via 10.244.1.1 metric 5",
		"default via 10.244.1.1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("UplinkRoutes:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if id.Link.Kind != "veth" || id.Link.MAC != (MAC{0x0a, 0x58, 0x0a, 0xf4, 1, 7}) || !id.Link.Up || id.Link.NoARP || !id.Link.Ethernet {
		t.Errorf("Link = %+v", id.Link)
	}
	if id.Namespace.Cookie == 0 || id.Namespace.Inode == 0 || id.Namespace.Boot == "" {
		t.Errorf("Namespace = %+v, want all fields", id.Namespace)
	}
	if d := netip.MustParsePrefix("0.0.0.0/0"); !slices.ContainsFunc(id.Routes, func(r Route) bool { return r.Dst == d }) {
		t.Error("the default route is not 0.0.0.0/0")
	}
}

func TestIPv6StaysWithTheKernel(t *testing.T) {
	p := newPod(t)
	p.sysctl("net/ipv6/conf/eth0/accept_dad", "0")
	p.sysctl("net/ipv6/conf/eth0/addr_gen_mode", "1") // the kernel adds no link-local address
	p.sysctl("net/ipv6/conf/eth0/disable_ipv6", "0")
	p.ip(`addr add 10.244.1.7/24 dev eth0
		addr add fe80::7/64 dev eth0 nodad
		addr add fd00::7/64 dev eth0 nodad
		route add 10.53.0.0/16 via inet6 fe80::1 dev eth0
		route add 10.54.0.0/16 nexthop via inet6 fe80::1 dev eth0 nexthop via 10.244.1.1
		route add default via fd00::1`)
	await(t, "the kernel has added the local routes", func() bool {
		local := p.run("ip", "-6", "route", "show", "table", "local", "dev", "eth0")
		return strings.Contains(local, "fe80::7") && strings.Contains(local, "fd00::7")
	})
	before := p.snapshot()
	six := p.run("ip", "-6", "addr") + p.run("ip", "-6", "route")
	taken := p.take()
	if now := p.run("ip", "-6", "addr") + p.run("ip", "-6", "route"); now != six {
		t.Errorf("IPv6 while taken:\n%s\nwant\n%s", now, six)
	}
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}
