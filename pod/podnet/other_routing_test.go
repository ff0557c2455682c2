package podnet

import (
	"fmt"
	"strings"
	"testing"
)

func TestOtherRoutingIsWhatBypassesThePodInterface(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0\nroute add default via 10.244.1.1")
	id := p.discover()
	if e, err := DiscoverOtherRouting(id); err != nil || len(e.Denied)+len(e.Routes)+len(e.Rules) > 0 {
		t.Errorf("a pod with eth0 only: %+v, %v, want nothing", e, err)
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

func TestOtherRoutingOfIPv6(t *testing.T) {
	p := newIPv6Pod(t, false)
	p.ip("addr add fd00:1::7/64 dev eth0\nroute add default via fd00:1::1")
	id := p.discoverBoth()
	if e, err := DiscoverOtherRouting(id); err != nil || len(e.Denied)+len(e.Routes)+len(e.Rules) > 0 {
		t.Errorf("a pod with eth0 only: %+v, %v, want nothing", e, err)
	}
	p.ip("link add net1 type veth peer name net1-peer")
	p.sysctl("net/ipv6/conf/net1/disable_ipv6", "0")
	p.ip("link set net1 up\naddr add fd00:2::7/64 dev net1 nodad\nroute add unreachable fd00:66::/32 metric 7")
	e, err := DiscoverOtherRouting(id)
	if err != nil || len(e.Denied) != 1 || e.Denied[0].Dst.String() != "fd00:66::/32" || len(e.Routes) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
}
