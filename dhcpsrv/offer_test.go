package dhcpsrv

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestClasslessRoutes checks option 121 byte by byte: the routes that guests of the same plugins got before, and the cases that
// need an additional route.
func TestClasslessRoutes(t *testing.T) {
	type change = func(*Offer)
	routes := func(list ...string) change {
		return func(o *Offer) {
			o.Routes = nil
			for _, r := range list {
				o.Routes = append(o.Routes, route(r))
			}
			o.Gateway = netip.Addr{}
		}
	}
	tests := []struct {
		name, profile string
		change        change
		want, gateway string
	}{
		{"flannel", "flannel", nil, "00 0af40101 / 10 0af4 0af40101", "10.244.1.1"},
		{"calico", "calico", nil, "20 a9fe0101 00000000 / 00 a9fe0101", "169.254.1.1"},
		{"weave", "weave", nil, "00 0a200001 / 04 e0 00000000", "10.32.0.1"},
		{"openshift-sdn", "openshift-sdn", nil, "00 0a800001 / 0e 0a80 00000000 / 04 e0 00000000", "10.128.0.1"},
		{"aws-vpc", "aws-vpc", nil, "20 a9fe0101 00000000 / 00 a9fe0101", "169.254.1.1"},
		{"gateway from the table", "flannel", routes("0.0.0.0/0 via 10.244.1.1"), "00 0af40101", "10.244.1.1"},
		{"gateway without a route", "flannel", func(o *Offer) { o.Routes = nil }, "00 0af40101", "10.244.1.1"},
		{"default on-link, server in the subnet", "flannel", routes("0.0.0.0/0"), "00 0af40101", "10.244.1.1"},
		{"default on-link", "calico", routes("10.9.0.0/16", "0.0.0.0/0"), "20 a9fe0101 00000000 / 00 a9fe0101 / 10 0a09 00000000", "169.254.1.1"},
		{"no default, server in the subnet", "flannel", routes("10.244.1.0/24"), "", ""},
		{"no default, server outside", "calico", routes(), "20 a9fe0101 00000000", ""},
		{"no default, server routed", "calico", routes("169.254.0.0/16"), "10 a9fe 00000000", ""},
		{"no default, server behind a gateway", "calico", routes("169.254.9.9/32", "169.254.1.0/24 via 169.254.9.9"),
			"20 a9fe0909 00000000 / 18 a9fe01 a9fe0909", ""},
		{"onlink gateway", "calico", routes("0.0.0.0/0 via 169.254.1.1"), "20 a9fe0101 00000000 / 00 a9fe0101", "169.254.1.1"},
		{"on-link first", "calico", routes("0.0.0.0/0 via 169.254.1.1", "10.0.0.0/8 via 169.254.1.1", "169.254.1.1/32"),
			"20 a9fe0101 00000000 / 00 a9fe0101 / 08 0a a9fe0101", "169.254.1.1"},
		{"host bits", "flannel", routes("10.96.5.5/12 via 10.244.1.1", "0.0.0.0/0 via 10.244.1.1"),
			"00 0af40101 / 0c 0a60 0af40101", "10.244.1.1"},
		{"the first of two metrics", "flannel", routes("0.0.0.0/0 via 10.244.1.1", "0.0.0.0/0 via 10.244.1.2"), "00 0af40101", "10.244.1.1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := mustProfile(t, test.profile)
			if test.change != nil {
				test.change(&o)
			}
			d := replyTo(t, newOffer(t, o), message(discover, wants(1, 3, 121, 249)))
			want := strings.NewReplacer(" ", "", "/", "").Replace(test.want)
			for _, code := range []uint8{121, 249} {
				if got := hex.EncodeToString(d.value(code)); got != want {
					t.Errorf("option %d is %s, want %s", code, got, want)
				}
			}
			if got := addresses(d.value(3)); got != test.gateway {
				t.Errorf("option 3 is %q, want %q", got, test.gateway)
			}
		})
	}
}

func TestDirectedBroadcast(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.244.1.7/24": "10.244.1.255", "10.32.0.5/12": "10.47.255.255", "10.128.0.16/23": "10.128.1.255",
		"10.0.0.1/30": "10.0.0.3", "10.0.0.1/31": "", "10.0.0.1/32": "", "10.0.0.1/8": "10.255.255.255",
	} {
		if got := addresses(directedBroadcast(netip.MustParsePrefix(prefix))); got != want {
			t.Errorf("%s: %q, want %q", prefix, got, want)
		}
	}
}

func TestSearchDomains(t *testing.T) {
	label := strings.Repeat("a", 63)
	tests := []struct {
		name     string
		given    []string
		want     []string
		warnings int
	}{
		{"lower case, no final dot", []string{"Default.SVC.Cluster.Local."}, []string{"default.svc.cluster.local"}, 0},
		{"twice", []string{"a.b", "A.B.", "b"}, []string{"a.b", "b"}, 0},
		{"one label", []string{"DHCP"}, []string{"dhcp"}, 0},
		{"underscore", []string{"_msdcs.example.org"}, []string{"_msdcs.example.org"}, 0},
		{"underscore at the end of a label", []string{"a_.org"}, nil, 1},
		{"underscore in the last label", []string{"example.o_g"}, nil, 1},
		{"an address", []string{"114.114.114.114", "a.org"}, []string{"a.org"}, 1},
		{"root", []string{".", ""}, nil, 1},
		{"empty label", []string{"a..b", ".a", "a.."}, nil, 3},
		{"hyphens", []string{"-a.org", "a-.org", "a-b.org"}, []string{"a-b.org"}, 2},
		{"63 and 64", []string{label + ".org", "a" + label + ".org"}, []string{label + ".org"}, 1},
		{"254 bytes", []string{strings.Repeat("abcdefg.", 31) + "orgorg"}, nil, 1},
		{"not ASCII", []string{"bücher.example", "a b", "a\x00b", "a\nb"}, nil, 4},
		{"too many", []string{label + ".a", label + ".b", label + ".c", label + ".d"},
			[]string{label + ".a", label + ".b", label + ".c"}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := mustProfile(t, "flannel")
			o.Search = test.given
			made, warnings, err := NewOffer(o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, made.Search); diff != "" {
				t.Errorf("search (-want +got):\n%s", diff)
			}
			if len(warnings) != test.warnings {
				t.Errorf("warnings %q, want %d", warnings, test.warnings)
			}
			d := replyTo(t, made, message(discover, wants(119)))
			if got := domains(d.value(119)); got != strings.Join(test.want, " ") {
				t.Errorf("option 119 is %q", got)
			}
		})
	}
}

func TestNameServers(t *testing.T) {
	const relay = "10.244.1.1"
	tests := []struct {
		name, given, want string
		warnings          int
	}{
		{"none", "", "", 0},
		{"IPv6 only", "fd00::10 fe80::1%eth0", "", 2},
		{"mixed", "fd00::10 10.96.0.10", "10.96.0.10", 1},
		{"mapped", "::ffff:10.96.0.10", "10.96.0.10", 0},
		{"loopback", "127.0.0.53 127.0.0.1 8.8.8.8", relay + " 8.8.8.8", 2},
		{"unspecified", "0.0.0.0", relay, 1},
		{"loopback of IPv6", "::1 127.0.0.1", relay, 2},
		{"twice", "10.96.0.10 10.96.0.10", "10.96.0.10", 0},
		{"multicast", "224.0.0.251 255.255.255.255", "", 2},
		{"too many", "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6",
			"10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := mustProfile(t, "flannel")
			o.NameServers = nil
			for _, a := range strings.Fields(test.given) {
				o.NameServers = append(o.NameServers, netip.MustParseAddr(a))
			}
			made, warnings, err := NewOffer(o)
			if err != nil || len(warnings) != test.warnings {
				t.Fatalf("error %v, warnings %q, want %d", err, warnings, test.warnings)
			}
			d := replyTo(t, made, message(discover, wants(6)))
			if got := addresses(d.value(6)); got != test.want {
				t.Errorf("option 6 is %q, want %q", got, test.want)
			}
			if has := slices.Contains(d.codes(), 6); has != (test.want != "") {
				t.Errorf("option 6 sent: %v", has)
			}
		})
	}
}

// TestBadNames checks that invalid names are omitted with a warning each.
func TestBadNames(t *testing.T) {
	o := mustProfile(t, "flannel")
	o.HostName, o.Domain = "web_0", "10.0.0.1"
	o.Routes = append(o.Routes, route("fd00::/64"), Route{}, route("10.9.0.0/16 via fe80::1"))
	made, warnings, err := NewOffer(o)
	if err != nil || len(warnings) != 5 {
		t.Fatalf("error %v, warnings %q, want 5", err, warnings)
	}
	if made.HostName != "" || made.Domain != "" || len(made.Routes) != 3 {
		t.Errorf("kept host name %q, domain %q, routes %v", made.HostName, made.Domain, made.Routes)
	}
	d := replyTo(t, made, message(discover))
	if d.value(12) != nil || d.value(15) != nil {
		t.Error("options 12 or 15 were sent")
	}
}

// TestEmptyOffer checks that unset fields add no options.
func TestEmptyOffer(t *testing.T) {
	offer := newOffer(t, Offer{
		Address: netip.MustParsePrefix("10.0.0.2/31"), Server: netip.MustParseAddr("10.0.0.3"), Lease: minLease,
	})
	d := replyTo(t, offer, message(discover))
	if diff := cmp.Diff([]uint8{53, 54, 51, 58, 59, 1}, d.codes()); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestOfferErrors(t *testing.T) {
	tests := []struct {
		want   string
		change func(*Offer)
	}{
		{"dhcp offer: pod address", func(o *Offer) { o.Address = netip.Prefix{} }},
		{"dhcp offer: pod address fd00::7/64", func(o *Offer) { o.Address = netip.MustParsePrefix("fd00::7/64") }},
		{"dhcp offer: pod address 127.0.0.1/8", func(o *Offer) { o.Address = netip.MustParsePrefix("127.0.0.1/8") }},
		{"dhcp offer: server", func(o *Offer) { o.Server = netip.Addr{} }},
		{"dhcp offer: server 10.244.1.7", func(o *Offer) { o.Server = o.Address.Addr() }},
		{"dhcp offer: gateway fe80::1", func(o *Offer) { o.Gateway = netip.MustParseAddr("fe80::1") }},
		{"dhcp offer: MTU 67", func(o *Offer) { o.MTU = 67 }},
		{"dhcp offer: MTU 65536", func(o *Offer) { o.MTU = 65536 }},
		{"dhcp offer: MTU -1", func(o *Offer) { o.MTU = -1 }},
		{"dhcp offer: lease 3s", func(o *Offer) { o.Lease = 3 * time.Second }},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			o := mustProfile(t, "flannel")
			test.change(&o)
			if made, _, err := NewOffer(o); err == nil || !strings.HasPrefix(err.Error(), test.want) || made != nil {
				t.Errorf("offer %v, error %v, want %q", made, err, test.want)
			}
		})
	}
}

// TestOfferSharesNothing checks that an offer does not change with its argument.
func TestOfferSharesNothing(t *testing.T) {
	o := mustProfile(t, "flannel")
	made := newOffer(t, o)
	before := replyTo(t, made, message(discover)).lines()
	o.Routes[0], o.NameServers[0], o.Search[0] = Route{}, netip.Addr{}, "x"
	if diff := cmp.Diff(before, replyTo(t, made, message(discover)).lines()); diff != "" {
		t.Errorf("the offer changed:\n%s", diff)
	}
	if made.Search[0] != "default.svc.cluster.local" || len(made.Routes) != 3 || !made.Routes[0].isDefault() {
		t.Errorf("the fields changed: %v %v", made.Search, made.Routes)
	}
}

// TestManyRoutesTakeLittleTime checks that the time to make an offer is not quadratic in the number of routes, which the pod's network decides.
func TestManyRoutesTakeLittleTime(t *testing.T) {
	o := mustProfile(t, "calico")
	gateways := []netip.Addr{{}, netip.MustParseAddr("169.254.1.1")} // on-link, and outside the subnet
	for i := range 150_000 {
		destination := netip.PrefixFrom(netip.AddrFrom4([4]byte{100 + byte(i>>16), byte(i >> 8), byte(i), 0}), 24)
		o.Routes = append(o.Routes, Route{Destination: destination, Gateway: gateways[i%2]})
	}
	began := time.Now()
	if _, _, err := NewOffer(o); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second { // a quadratic one takes a minute
		t.Errorf("an offer with %d routes takes %s", len(o.Routes), took)
	}
}
