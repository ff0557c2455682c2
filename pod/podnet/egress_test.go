package podnet

import (
	"net/netip"
	"strings"
	"testing"
)

// TestEgress checks that the kernel uses a configured way out where the address is taken or muted, and that nothing is left of it without its
// tap.
func TestEgress(t *testing.T) {
	for name, isMuted := range map[string]bool{"taken": false, "muted": true} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			p.ip("addr add 10.244.1.7/24 dev eth0\nroute add default via 10.244.1.1")
			before := p.routes()
			id, err := Discover("eth0", IPv4)
			if err != nil {
				t.Fatal(err)
			}
			e := NewEgress(id, netip.MustParseAddr("169.254.75.11"), MAC{2, 9}, isMuted)
			if err := e.Configure(); err == nil || !strings.Contains(err.Error(), e.Device) {
				t.Errorf("without the tap: %v", err)
			}
			p.ip("link add " + e.Device + " type veth peer name out0\nlink set out0 up") // a tap has no carrier until it is open
			for range 2 {                                                                // a tap that was opened again
				if err := e.Configure(); err != nil {
					t.Fatal(err)
				}
			}
			if !isMuted {
				p.ip("addr del 10.244.1.7/24 dev eth0")
			}
			for _, to := range []string{"8.8.8.8", "192.0.2.1", "10.244.1.1", "10.244.1.200"} {
				if got := p.run("ip", "route", "get", to); !strings.HasPrefix(got, to+" dev "+e.Device+" src 169.254.75.11 ") {
					t.Errorf("%s: %s", to, got)
				}
			}
			if !isMuted { // the routes of the pod interface are preferred
				p.ip("addr add 10.244.1.7/24 dev eth0\nroute add default via 10.244.1.1")
				if got := p.run("ip", "route", "get", "8.8.8.8"); !strings.HasPrefix(got, "8.8.8.8 via 10.244.1.1 dev eth0 ") {
					t.Errorf("given back: %s", got)
				}
			}
			p.ip("link del " + e.Device)
			if after := p.routes(); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// routes returns all routes of the pod.
func (p *pod) routes() string { return p.run("ip", "-4", "route", "show", "table", "all") }
