package podnet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// meanwhile are changes of other programs while the addresses are taken. Each is possible without an address.
var meanwhile = []struct{ name, base, lines string }{
	{"a lower MTU", "", "link set eth0 mtu 1400"},
	{"a new route", "", "route add 10.9.0.0/16 via 10.244.1.2 dev eth0 onlink mtu 1300 advmss 1200"},
	{"a replaced route", "", "route replace default via 10.244.1.2 dev eth0 onlink mtu 1400"},
	{"a replaced route among others", "route append default via 10.244.1.3", "route replace default via 10.244.1.2 dev eth0 onlink"},
	{"a route with another metric", "", "route add default via 10.244.1.2 dev eth0 onlink metric 5"},
	{"a route that is removed again", "", "route add 10.9.0.0/16 dev eth0\nroute del 10.9.0.0/16"},
	{"a new neighbour", "", "neigh add 10.244.1.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent"},
	{"a replaced neighbour", "neigh add 10.244.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent",
		"neigh replace 10.244.1.1 lladdr 02:00:00:00:00:02 dev eth0 nud permanent"},
	{"a proxy entry", "", "neigh add proxy 10.244.1.2 dev eth0"},
	{"another address", "", "addr add 10.5.0.1/24 dev eth0\nroute add 10.6.0.0/16 via 10.5.0.2"},
	{"a new MAC", "", "link set eth0 address 02:00:00:00:00:77"},
	{"a new MAC, and a neighbour", "neigh add 10.244.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent",
		"link set eth0 address 02:00:00:00:00:77\nneigh add 10.244.1.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent"},
	{"the address again", "", "addr replace 10.244.1.7/24 dev eth0 valid_lft 5000 preferred_lft 4000"},
	{"the address again, a route and a neighbour", "",
		"route add 10.9.0.0/16 dev eth0\nneigh add 10.244.1.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent\naddr replace 10.244.1.7/24 dev eth0"},
}

const followBase = `link set eth0 mtu 1500
	addr add 10.244.1.7/24 dev eth0
	route add default via 10.244.1.1
	route add 10.8.0.0/16 via 10.244.1.1
	`

// What other programs change while the addresses are taken is the same after giving back as without podswitch, whether or not it was followed, and also
// if the process was killed.
func TestFollow(t *testing.T) {
	for _, test := range meanwhile {
		for _, how := range []string{"each line followed", "followed at the end", "not followed", "killed"} {
			t.Run(test.name+", "+how, func(t *testing.T) {
				if how == "killed" && strings.HasPrefix(test.name, "the address again,") {
					t.Skip("giving back cannot be told from what another program did")
				}
				p := newPod(t)
				p.ip(followBase + test.base)
				if how == "killed" {
					p.takeAndDie()
					p.ip(test.lines)
					if _, err := Restore(p.dir); err != nil {
						t.Fatal(err)
					}
				} else {
					taken := p.take()
					if how == "each line followed" {
						for _, line := range strings.Split(test.lines, "\n") {
							p.ip(line)
							p.follow(taken)
						}
					} else {
						p.ip(test.lines)
					}
					if how == "followed at the end" {
						p.follow(taken)
					}
					if err := taken.GiveBack(); err != nil {
						t.Fatal(err)
					}
				}
				p.wantNothingLeft()
				got := p.comparable()
				p.ip("addr flush dev eth0\nneigh flush dev eth0 nud permanent\nlink set eth0 address 0a:58:0a:f4:01:07\n" + followBase + test.base + "\n" + test.lines)
				if diff := cmp.Diff(p.comparable(), got); diff != "" {
					t.Errorf("the pod differs (-without podswitch +with it):\n%s", diff)
				}
			})
		}
	}
}

// follow calls Follow, and checks that the link has no recorded address then, and that another call changes nothing.
func (p *pod) follow(taken *Taken) *Identity {
	p.t.Helper()
	id, _, err := taken.Follow()
	if err != nil {
		p.t.Fatal(err)
	}
	if list := p.addresses(); strings.Contains(list, "10.244.1.7") {
		p.t.Errorf("the pod address is on the link: %s", list)
	}
	if again, added, err := taken.Follow(); again != id || len(added) > 0 || err != nil {
		p.t.Errorf("the second Follow returns another identity, %v, %v", added, err)
	}
	return id
}

// comparable returns the snapshot without the seconds that pass.
func (p *pod) comparable() snapshot {
	s := p.snapshot()
	for _, lifetime := range []string{"50", "49", "40", "39"} { // 5000, 4999, ...
		for _, key := range []string{`"valid_life_time":`, `"preferred_life_time":`} {
			for _, digits := range []string{"00", "99", "98", "97", "96", "95", "94", "93"} {
				s["addr"] = strings.ReplaceAll(s["addr"], key+lifetime+digits, key+lifetime[:1]+"---")
			}
		}
	}
	s["addr"] = strings.NewReplacer(`"valid_life_time":4---`, `"valid_life_time":5---`, `"preferred_life_time":3---`, `"preferred_life_time":4---`).Replace(s["addr"])
	return s
}

// The identity that Follow returns has the changes, and the lifetimes of a renewed address.
func TestFollowReturnsTheChanges(t *testing.T) {
	p := newPod(t)
	p.ip(`addr add 10.244.1.7/24 dev eth0 valid_lft 100 preferred_lft 50
		route add default via 10.244.1.1`)
	taken := p.take()
	p.ip(`link set eth0 mtu 1400 address 02:00:00:00:00:77
		route add 10.9.0.0/16 via 10.244.1.2 dev eth0 onlink mtu 1300 advmss 1200
		neigh add 10.244.1.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent
		addr add 10.244.1.7/24 dev eth0 valid_lft 5000 preferred_lft 4000`)
	id := p.follow(taken)
	now := time.Now()
	expires, deprecated := id.Lifetimes(IPv4, now)
	routes := id.UplinkRoutes(IPv4)
	if id.Link.MTU != 1400 || id.Link.MAC != (MAC{2, 0, 0, 0, 0, 0x77}) || len(routes) != 3 || routes[0].Metrics["mtu"]+routes[0].Metrics["advmss"] != 2500 && routes[1].Metrics["mtu"]+routes[1].Metrics["advmss"] != 2500 {
		t.Errorf("link %+v, routes %v", id.Link, routes)
	}
	if first := (MAC{0x0a, 0x58, 0x0a, 0xf4, 0x01, 0x07}); id.FirstMAC() != first || id.TakenMAC != first {
		t.Errorf("the first MAC is %v", id.FirstMAC())
	}
	if record, err := readRecord(p.dir); err != nil || record.Pod.TakenMAC != id.TakenMAC {
		t.Errorf("the state file has %+v, %v", record, err)
	}
	if n := id.Neighbours; len(n) != 1 || n[0].MAC != (MAC{2, 0, 0, 0, 0, 2}) {
		t.Errorf("neighbours %v", n)
	}
	if v, d := expires.Sub(now), deprecated.Sub(now); v < 4900*time.Second || v > 5000*time.Second || d < 3900*time.Second || d > 4000*time.Second {
		t.Errorf("lifetimes %v and %v, want 5000s and 4000s", v, d)
	}
	p.ip("link set eth0 name eth7")
	if id, _, err := taken.Follow(); err != nil || id.Link.Name != "eth7" {
		t.Errorf("Follow = %+v, %v", id, err)
	}
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
}

// The MTU of a recorded route follows a link whose MTU was lowered while the addresses were taken, and returns with it.
func TestGiveBackLowersTheMTUOfRoutes(t *testing.T) {
	for _, test := range []struct{ lines, want string }{
		{"link set eth0 mtu 1400", "default via 10.244.1.1 dev eth0 mtu 1400"},
		{"link set eth0 mtu 1480", "default via 10.244.1.1 dev eth0 mtu 1450"},
		{"link set eth0 mtu 1400\nlink set eth0 mtu 1500", "default via 10.244.1.1 dev eth0 mtu 1450"},
	} {
		for _, killed := range []bool{false, true} {
			p := newPodOf(t)
			p(func(p *pod) {
				p.ip("addr add 10.244.1.7/24 dev eth0\nroute add default via 10.244.1.1 mtu 1450\nroute add 10.8.0.0/16 via 10.244.1.1 mtu 9000")
				if killed {
					p.takeAndDie()
					p.ip(test.lines)
					if _, err := Restore(p.dir); err != nil {
						t.Fatal(err)
					}
				} else {
					taken := p.take()
					for _, line := range strings.Split(test.lines, "\n") {
						p.ip(line)
						p.follow(taken)
					}
					if err := taken.GiveBack(); err != nil {
						t.Fatal(err)
					}
				}
				if routes := p.run("ip", "route"); !strings.Contains(routes, test.want) || !strings.Contains(routes, "10.8.0.0/16 via 10.244.1.1 dev eth0 mtu 9000") {
					t.Errorf("killed %v, %s: routes\n%s\nwant %s", killed, test.lines, routes, test.want)
				}
			})
		}
	}
}

// newPodOf returns a function that runs another one with a new pod, as a subtest.
func newPodOf(t *testing.T) func(func(*pod)) {
	return func(f func(*pod)) { t.Run("", func(t *testing.T) { f(newSerialPod(t)) }) }
}

// A change that cannot be recorded is an error, and giving back goes on without it.
func TestFollowWithoutARecord(t *testing.T) {
	p := newPod(t)
	p.ip(followBase)
	taken := p.take()
	before := p.dir
	taken.tx.dir = before + "/absent\x00"
	p.ip("route add 10.9.0.0/16 dev eth0")
	if _, _, err := taken.Follow(); err == nil {
		t.Error("Follow succeeds")
	}
	taken.tx.dir = before
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	if routes := p.run("ip", "route"); strings.Count(routes, "10.9.0.0/16") != 1 || !strings.Contains(routes, "default via 10.244.1.1") {
		t.Errorf("routes:\n%s", routes)
	}
}

// Changes signals changes of the link, and not the resolution of neighbours.
func TestChanges(t *testing.T) {
	p := newPod(t)
	p.sysctl("net/ipv6/conf/eth0/disable_ipv6", "0")
	p.ip(followBase)
	ctx, cancel := context.WithCancel(t.Context())
	signals, err := Changes(ctx, p.discover().Link)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"link set eth0 mtu 1400", "route add 10.9.0.0/16 dev eth0", "addr change 10.244.1.7/24 dev eth0 valid_lft 500 preferred_lft 500",
		"neigh add 10.244.1.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent", "neigh del 10.244.1.2 dev eth0",
		"addr add fd00::7/64 dev eth0", "route add fd00:9::/64 dev eth0", "route del fd00:9::/64 dev eth0"} {
		for len(signals) > 0 {
			<-signals
		}
		p.ip(line)
		select {
		case <-signals:
		case <-time.After(10 * time.Second):
			t.Errorf("no signal for %s", line)
		}
	}
	cancel()
	for range signals {
	}
	if concerns(28, append(make([]byte, 8), 2, 0, 0, 0), 0) {
		t.Error("a reachable neighbour is a change")
	}
}

// Follow does not remove the addresses that a GiveBack has added which then failed: the caller may not know yet that it has begun.
func TestFollowAfterAFailedGiveBack(t *testing.T) {
	p := newPod(t)
	p.ip(followBase)
	before := p.addresses()
	taken := p.take()
	if err := errors.Join(os.Remove(statePath(p.dir)), os.MkdirAll(filepath.Join(statePath(p.dir), "x"), 0o700)); err != nil { // cannot be removed
		t.Fatal(err)
	}
	if err := taken.GiveBack(); err == nil {
		t.Fatal("GiveBack has removed the state file")
	}
	if _, again, err := taken.Follow(); err != nil || len(again) > 0 || p.addresses() != before {
		t.Errorf("Follow: %v, %v; the pod has\n%s", again, err, p.addresses())
	}
	if err := errors.Join(os.RemoveAll(statePath(p.dir)), taken.GiveBack()); err != nil {
		t.Fatal(err)
	}
	p.wantNothingLeft()
}
