package plan

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
)

// TestKeptWarnings checks that a plan warns that targets cannot tell clients apart, and of each port that a guest may choose as the
// source of a connection.
func TestKeptWarnings(t *testing.T) {
	const loopback = "see 127.0.0.1 as the address of every client"
	for name, c := range map[string]struct {
		ports     []uint16
		ephemeral string // part of the warning; empty: none
	}{
		"none":              {nil, ""},
		"a low port":        {[]uint16{8080, 32767, 61000}, ""},
		"the first one":     {[]uint16{80, 32768}, "kept tcp/32768 may collide"},
		"the last, and one": {[]uint16{60999, 40000}, "kept tcp/60999, tcp/40000 may collide"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
			for _, port := range c.ports {
				cfg.KeptPorts = append(cfg.KeptPorts, KeptPort{Network: "tcp", Port: port, Target: "127.0.0.1:1"})
			}
			p, err := resolve(cfg, identity(), &environment{})
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(p.Warnings, "\n")
			for i := range cfg.KeptPorts {
				cfg.KeptPorts[i].Proxy = true
			}
			if all := strings.Join(keptWarnings(cfg.KeptPorts), "\n"); strings.Contains(all, loopback) {
				t.Errorf("warnings with PROXY headers:\n%s", all)
			}
			if strings.Contains(text, loopback) != (c.ports != nil) || strings.Contains(text, "may collide") != (c.ephemeral != "") || !strings.Contains(text, c.ephemeral) {
				t.Errorf("warnings:\n%s", text)
			}
		})
	}
}

// TestRelayWarning checks that a plan warns of a name server in the pod, and of no other.
func TestRelayWarning(t *testing.T) {
	for server, want := range map[string]bool{"127.0.0.53": true, "10.96.0.10": false} {
		cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
		id := identity()
		id.Resolv.NameServers = []netip.Addr{netip.MustParseAddr(server)}
		p, err := resolve(cfg, id, &environment{})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(p.Warnings, "\n")
		if strings.Contains(text, "the name server 127.0.0.53:53 runs in the pod") != want {
			t.Errorf("%s: warnings:\n%s", server, text)
		}
	}
}
