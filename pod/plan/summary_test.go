package plan

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/podnet"
)

// TestSummaryBootOptions checks the lines about DHCP with and without dhcpOptions in the VM document.
func TestSummaryBootOptions(t *testing.T) {
	const offers = "dhcp   offers       10.244.1.7/24  gateway 10.244.1.1  mtu 1450  host name web-0  lease 24h0m0s"
	for _, c := range []struct {
		name string
		add  func(*dhcpsrv.Offer)
		also string // the second line; empty: none
	}{
		{"nothing", func(*dhcpsrv.Offer) {}, ""},
		{"boot file", func(o *dhcpsrv.Offer) { o.BootFileName = "http://10.244.1.8/a.ipxe" }, `boot file "http://10.244.1.8/a.ipxe"`},
		{"TFTP server", func(o *dhcpsrv.Offer) { o.TFTPServerName = "10.244.1.9" }, `tftp server "10.244.1.9"`},
		{"NTP servers", func(o *dhcpsrv.Offer) {
			o.NTPServers = []netip.Addr{netip.MustParseAddr("10.244.1.10"), netip.MustParseAddr("10.244.1.11")}
		}, "ntp 10.244.1.10,10.244.1.11"},
		{"private options", func(o *dhcpsrv.Offer) {
			o.Private = []dhcpsrv.PrivateOption{{Code: 230, Value: "rack 7"}, {Code: 224, Value: "a\nb"}}
		}, `option 230 "rack 7"  option 224 "a\nb"`},
		{"boot files", func(o *dhcpsrv.Offer) {
			architecture := uint16(7)
			o.BootFiles = []dhcpsrv.BootFile{{UserClass: "iPXE", Name: "a"}, {UserClass: "x", Architecture: &architecture, Name: "b"}}
		}, `boot file "a" for user class "iPXE"  boot file "b" for user class "x" and architecture 7`},
		{"other options", func(o *dhcpsrv.Offer) { o.Extra = []dhcpsrv.ExtraOption{{Code: 150, Value: []byte{10, 0}}} }, `option 150 "\n\x00"`},
		{"all", func(o *dhcpsrv.Offer) {
			o.BootFileName, o.TFTPServerName = "guest.ipxe", "tftp.example"
			o.NTPServers = []netip.Addr{netip.MustParseAddr("10.244.1.10")}
			o.Private = []dhcpsrv.PrivateOption{{Code: 254, Value: "blue"}}
		}, `boot file "guest.ipxe"  tftp server "tftp.example"  ntp 10.244.1.10  option 254 "blue"`},
		{"a value too long for its option", func(o *dhcpsrv.Offer) { o.BootFileName = strings.Repeat("a", 256) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := dhcpsrv.Offer{Address: netip.MustParsePrefix("10.244.1.7/24"), Server: serverAddress,
				Gateway: netip.MustParseAddr("10.244.1.1"), MTU: 1450, HostName: "web-0", Lease: 24 * time.Hour}
			c.add(&given)
			offer, _, err := dhcpsrv.NewOffer(given)
			if err != nil {
				t.Fatal(err)
			}
			p := &Plan{Offer: offer, Identity: &podnet.Identity{}}
			var got []string
			for _, line := range p.Summary() {
				if strings.HasPrefix(line, "dhcp ") {
					got = append(got, line)
				}
			}
			want := []string{offers}
			if c.also != "" {
				want = append(want, "dhcp   also offers  "+c.also)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestSummaryBootOptionsIPv6 checks that the line about other options of DHCPv6 has what clients get: the URL of a path, and nothing of a path without
// one.
func TestSummaryBootOptionsIPv6(t *testing.T) {
	for name, c := range map[string]struct {
		add  func(*dhcpsrv.Offer6)
		also string
	}{
		"nothing":        {func(*dhcpsrv.Offer6) {}, ""},
		"a URL":          {func(o *dhcpsrv.Offer6) { o.BootFileName = "http://[fd00::8]/a" }, `boot file "http://[fd00::8]/a"`},
		"a path":         {func(o *dhcpsrv.Offer6) { o.BootFileName, o.TFTPServerName = "a", "fd00::9" }, `boot file "tftp://[fd00::9]/a"`},
		"a path at IPv4": {func(o *dhcpsrv.Offer6) { o.BootFileName, o.TFTPServerName = "a", "10.0.0.9" }, ""},
		"NTP and boot parameter": {func(o *dhcpsrv.Offer6) {
			o.NTPServers, o.BootParameters = []netip.Addr{netip.MustParseAddr("fd00::10")}, []string{"a b"}
		}, `ntp fd00::10  boot parameter "a b"`},
		"boot files": {func(o *dhcpsrv.Offer6) {
			o.BootFiles = []dhcpsrv.BootFile{{UserClass: "x", Name: "a"}, {UserClass: "iPXE", Name: "http://h/b"}}
		}, `boot file "http://h/b" for user class "iPXE"`},
	} {
		t.Run(name, func(t *testing.T) {
			given := dhcpsrv.Offer6{Address: netip.MustParseAddr("fd00::7"), RouterMAC: dhcpsrv.MAC{2, 0, 0, 0, 0, 1}, MTU: 1450, Lease: 24 * time.Hour}
			c.add(&given)
			offer, _, err := dhcpsrv.NewOffer6(given)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range (&Plan{OfferIPv6: offer, Identity: &podnet.Identity{}}).Summary() {
				if strings.HasPrefix(line, "dhcp6 ") {
					got = append(got, line)
				}
			}
			want := []string{"dhcp6  offers       fd00::7  lease 24h0m0s"}
			if c.also != "" {
				want = append(want, "dhcp6  also offers  "+c.also)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestSummaryWithoutMACs checks that no zero MAC stands for a link that has none, nor for the router of a plain bridge.
func TestSummaryWithoutMACs(t *testing.T) {
	p := &Plan{Method: "bridge", Guest: "tap:tap0", Identity: &podnet.Identity{Link: podnet.Link{Name: "eth0", MTU: 1500}}}
	text := strings.Join(p.Summary(), "\n")
	if strings.Contains(text, "00:00:00") || !strings.Contains(text, "no wire MAC") {
		t.Error(text)
	}
}
