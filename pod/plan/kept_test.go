package plan

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
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
			if all := strings.Join(keptWarnings(&Plan{KeptPorts: cfg.KeptPorts}), "\n"); strings.Contains(all, loopback) {
				t.Errorf("warnings with PROXY headers:\n%s", all)
			}
			if strings.Contains(text, loopback) != (c.ports != nil) || strings.Contains(text, "may collide") != (c.ephemeral != "") || !strings.Contains(text, c.ephemeral) {
				t.Errorf("warnings:\n%s", text)
			}
		})
	}
}

// TestKeptWarningsIPv6 checks the warnings of a pod with both families: what the targets see, and that from=client is for IPv4 alone.
func TestKeptWarningsIPv6(t *testing.T) {
	keep := func(texts ...string) func(*Config) {
		return func(cfg *Config) {
			for _, text := range texts {
				k, err := ParseKeptPort(text)
				if err != nil {
					t.Fatal(err)
				}
				cfg.KeptPorts = append(cfg.KeptPorts, k)
			}
		}
	}
	for name, c := range map[string]struct {
		families []podnet.Family
		keep     []string
		want     string // part of the only warning; empty: none
	}{
		"both":                 {[]podnet.Family{podnet.IPv4, podnet.IPv6}, []string{"tcp/80", "tcp/81=[::1]:81"}, "kept tcp/80, tcp/81 see 127.0.0.1 or ::1 as the address of every client, of IPv4 and of IPv6: "},
		"a target with IPv6":   {[]podnet.Family{podnet.IPv6}, []string{"udp/81=[::1]:81"}, "kept udp/81 see ::1 as the address of every client: "},
		"any address of IPv6":  {[]podnet.Family{podnet.IPv6}, []string{"udp/81=[::]:81"}, "kept udp/81 see ::1 as the address of every client: "},
		"advice for IPv6":      {[]podnet.Family{podnet.IPv6}, []string{"tcp/81=[::1]:81"}, "for a target that reads the PROXY protocol)"},
		"advice for 127.0.0.1": {[]podnet.Family{podnet.IPv6}, []string{"tcp/81"}, "PROXY protocol, or \",from=127.0.0.2\" for one that trusts 127.0.0.1 alone)"},
		"advice for both":      {[]podnet.Family{podnet.IPv4, podnet.IPv6}, []string{"tcp/81=[::1]:81"}, "PROXY protocol, or \",from=client\" for one that listens at 0.0.0.0)"},
		"from=client":          {[]podnet.Family{podnet.IPv4, podnet.IPv6}, []string{"tcp/80,from=client"}, "kept tcp/80: clients are refused at fd00:10:244:1::7, because from=client is for IPv4 alone"},
		"from=client in IPv4":  {[]podnet.Family{podnet.IPv4}, []string{"tcp/80,from=client"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			id := identityOf(c.families...)
			id.Resolv.NameServers = nil
			onlySentence(t, "warnings", resolveFor(t, id, keep(c.keep...)).Warnings, c.want)
		})
	}
	if _, err := ParseKeptPort("udp/547"); err == nil || !strings.Contains(err.Error(), "DHCP does not pass") {
		t.Errorf("a port of DHCPv6: %v", err)
	}
}

// TestEgress checks that a plan has a way out for the pod's processes if a name server is in the pod, and otherwise warns.
func TestEgress(t *testing.T) {
	noTap := errors.New("open /dev/net/tun: no such file or directory")
	for name, c := range map[string]struct {
		server  string
		env     environment
		mute    bool
		routes  string // of the way out; empty: there is none
		warning string // part of a warning; empty: none about name servers
	}{
		"outside": {"10.96.0.10", environment{}, false, "", ""},
		"a tap":   {"127.0.0.53", environment{}, false, "10.244.1.0/24,0.0.0.0/0", ""},
		"muted":   {"127.0.0.53", environment{}, true, "10.244.1.0/25,10.244.1.128/25,0.0.0.0/1,128.0.0.0/1", ""},
		"no tap":  {"127.0.0.53", environment{tapErr: noTap}, false, "", "cannot ask servers outside through eth0, and the guest gets no answers from it: open /dev/net/tun"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}, Mute: c.mute}
			id := identity()
			id.Resolv.NameServers = []netip.Addr{netip.MustParseAddr(c.server)}
			p, err := resolve(cfg, id, &c.env)
			if err != nil {
				t.Fatal(err)
			}
			routes := ""
			if p.Egress != nil {
				routes = join(p.Egress.Routes)
				if p.Egress.Address == p.Server || p.Delegate().Egress != p.Egress.Address || !strings.Contains(strings.Join(p.Changes, "\n"), p.Egress.Device) {
					t.Errorf("%+v, changes %q", p.Egress, p.Changes)
				}
			}
			text := strings.Join(p.Warnings, "\n")
			if routes != c.routes || !strings.Contains(text, c.warning) || c.warning == "" && strings.Contains(text, "cannot ask") {
				t.Errorf("routes %s, want %s; warnings:\n%s", routes, c.routes, text)
			}
		})
	}
}

// TestDirectPorts checks that a port whose processes see the client's address needs a tap, which a takeover cannot add.
func TestDirectPorts(t *testing.T) {
	cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
	plain, err := resolve(cfg, identity(), &environment{})
	if err != nil || plain.Egress != nil {
		t.Fatal(plain.Egress, err)
	}
	cfg.KeptPorts = []KeptPort{{Network: "tcp", Port: 8080, Direct: true}}
	direct, err := resolve(cfg, identity(), &environment{})
	if err != nil || direct.Egress == nil || !slices.Equal(direct.Delegate().DirectTCP, []uint16{8080}) || !slices.Equal(direct.Delegate().KeptTCP, []uint16{8080}) {
		t.Fatal(direct, err)
	}
	var lacks *missing.Error
	if _, err := resolve(cfg, identity(), &environment{tapErr: os.ErrNotExist}); !errors.As(err, &lacks) || !strings.Contains(err.Error(), "tcp/8080,from=client") {
		t.Errorf("without a tap: %v", err)
	}
	if _, err := Revise(plain, cfg); err == nil || !strings.Contains(err.Error(), "a takeover cannot add") {
		t.Errorf("a takeover that needs a tap: %v", err)
	}
	cfg.KeptPorts = nil
	if p, err := Revise(direct, cfg); err != nil || p.Egress != direct.Egress {
		t.Errorf("a takeover that needs none: %v", err)
	}
}

// TestIPv6NameServers checks that the guest asks name servers with an IPv6 address through the relay if the pod has IPv6, and that the plan says
// which servers it does not get.
func TestIPv6NameServers(t *testing.T) {
	for hasIPv6, want := range map[bool]string{true: "169.254.75.10,10.96.0.10", false: "10.96.0.10"} {
		cfg := Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
		id := identity()
		id.Resolv.NameServers = []netip.Addr{netip.MustParseAddr("fd00::a"), netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fe80::1")}
		p, err := resolve(cfg, id, &environment{hasIPv6: hasIPv6})
		if err != nil {
			t.Fatal(err)
		}
		warnings, found := strings.Join(p.Warnings, "\n"), strings.Join(p.Found, "\n")
		if got := join(p.Offer.NameServers); got != want || len(p.RelayDNS) == 1 != hasIPv6 || p.Egress != nil {
			t.Errorf("IPv6 %t: the guest gets %s, want %s; relayed %v, egress %v", hasIPv6, got, want, p.RelayDNS, p.Egress)
		}
		if strings.Contains(warnings, "fd00::a") == hasIPv6 || strings.Contains(found, "fd00::a has an IPv6 address") != hasIPv6 || !strings.Contains(warnings, "fe80::1") {
			t.Errorf("IPv6 %t: found:\n%s\nwarnings:\n%s", hasIPv6, found, warnings)
		}
	}
}
