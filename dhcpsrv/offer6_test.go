package dhcpsrv

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOffer6Errors(t *testing.T) {
	for _, test := range []struct {
		change func(*Offer6)
		want   string
	}{
		{func(o *Offer6) { o.Address = netip.Addr{} }, "IPv6 offer: pod address invalid IP: want a global or unique local IPv6 address"},
		{func(o *Offer6) { o.Address = guestLL }, "IPv6 offer: pod address fe80::5054:ff:fe12:3456: want"},
		{func(o *Offer6) { o.Address = netip.MustParseAddr("10.0.0.1") }, "IPv6 offer: pod address 10.0.0.1: want"},
		{func(o *Offer6) { o.Address = netip.MustParseAddr("::ffff:10.0.0.1") }, "IPv6 offer: pod address ::ffff:10.0.0.1: want"},
		{func(o *Offer6) { o.Address = netip.MustParseAddr("ff02::1") }, "IPv6 offer: pod address ff02::1: want"},
		{func(o *Offer6) { o.Address = o.Address.WithZone("eth0") }, "IPv6 offer: pod address fd00:10:244:1::7%eth0: want"},
		{func(o *Offer6) { o.RouterMAC = MAC{} }, "IPv6 offer: router MAC 00:00:00:00:00:00: want a unicast address"},
		{func(o *Offer6) { o.RouterMAC[0] = 3 }, "IPv6 offer: router MAC 03:5e:10:00:00:01: want a unicast address"},
		{func(o *Offer6) { o.MTU = 1279 }, "IPv6 offer: MTU 1279: want 1280 to 65535, or 0 for none: IPv6 needs links of at least 1280 bytes"},
		{func(o *Offer6) { o.MTU = 65536 }, "IPv6 offer: MTU 65536: want"},
		{func(o *Offer6) { o.Lease = time.Second }, "IPv6 offer: lease 1s: want at least 4s"},
	} {
		o := mustProfile6(t, "bridge")
		test.change(&o)
		if made, _, err := NewOffer6(o); made != nil || err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("error %v, want %s", err, test.want)
		}
	}
}

// TestOffer6Warnings checks what is left out, and that nothing of the argument is changed.
func TestOffer6Warnings(t *testing.T) {
	addrs := func(list ...string) (addrs []netip.Addr) {
		for _, a := range list {
			addrs = append(addrs, netip.MustParseAddr(a))
		}
		return addrs
	}
	for _, test := range []struct {
		name   string
		change func(*Offer6)
		got    func(*Offer6) any
		want   any
		warns  []string
	}{
		{"name servers", func(o *Offer6) {
			o.NameServers = addrs("::1", "127.0.0.53", "10.96.0.10", "fe80::1", "ff02::fb", "fd00::a", "fd00::a", "fd00::b", "fd00::c", "fd00::d", "fd00::e")
		}, func(o *Offer6) any { return o.NameServers }, addrs("fe80::5e:10ff:fe00:1", "fd00::a", "fd00::b", "fd00::c", "fd00::d"), []string{
			"name server ::1: on the pod's loopback; fe80::5e:10ff:fe00:1 is offered instead",
			"name server 127.0.0.53: on the pod's loopback; fe80::5e:10ff:fe00:1 is offered instead",
			"name server 10.96.0.10: want a unicast IPv6 address; not offered",
			"name server fe80::1: want a unicast IPv6 address; not offered",
			"name server ff02::fb: want a unicast IPv6 address; not offered",
			"name server fd00::e: only the first 5 are offered"}},
		{"NTP servers", func(o *Offer6) { o.NTPServers = addrs("10.0.0.1", "fd00::b", "fe80::5e:10ff:fe00:1") },
			func(o *Offer6) any { return o.NTPServers }, addrs("fd00::b"), []string{
				"NTP server 10.0.0.1: want a unicast IPv6 address; not offered",
				"NTP server fe80::5e:10ff:fe00:1: want a unicast IPv6 address; not offered"}},
		{"routes", func(o *Offer6) {
			o.Routes = nil
			for _, p := range []string{"10.0.0.0/8", "fe80::/64", "ff00::/8", "fd01::1/64", "fd01::/64", "::/0"} {
				o.Routes = append(o.Routes, netip.MustParsePrefix(p))
			}
		}, func(o *Offer6) any { return fmt.Sprint(o.Routes, o.routes) }, "[fd01::/64 ::/0] []", []string{"route to 10.0.0.0/8: not IPv6; not offered"}},
		{"search domains", func(o *Offer6) { o.Search = []string{"A.example.", "b_"} }, func(o *Offer6) any { return o.Search }, []string{"a.example"},
			[]string{`domain "b_": want labels of letters, digits, '_' and '-', the last one beginning with a letter; not offered`}},
		{"boot parameters", func(o *Offer6) { o.BootParameters = []string{"a", "b\x00", strings.Repeat("c", 256)} },
			func(o *Offer6) any { return o.BootParameters }, []string{"a"}, []string{
				`boot parameter "b\x00": control characters; not offered`,
				`boot parameter "cccccccccccccccccccc"...: 256 bytes, want at most 255; not offered`}},
		{"a path without a server", func(o *Offer6) { o.BootFileName = "boot.efi" }, func(o *Offer6) any { return o.url }, "", []string{
			`boot file "boot.efi": neither a URL nor a file of a TFTP server with a name or an IPv6 address; not offered by DHCPv6`}},
		{"a path on a server with an IPv4 address", func(o *Offer6) { o.BootFileName, o.TFTPServerName = "boot.efi", "10.0.0.1" },
			func(o *Offer6) any { return o.url }, "", []string{
				`boot file "boot.efi": neither a URL nor a file of a TFTP server with a name or an IPv6 address; not offered by DHCPv6`}},
		{"a path on a server with an IPv6 address", func(o *Offer6) { o.BootFileName, o.TFTPServerName = "/boot.efi", "fd00::9" },
			func(o *Offer6) any { return o.url }, "tftp://[fd00::9]/boot.efi", nil},
		{"a path on a server with a name", func(o *Offer6) { o.BootFileName, o.TFTPServerName = "boot.efi", "boot.example" },
			func(o *Offer6) any { return o.url }, "tftp://boot.example/boot.efi", nil},
		{"a path that is too long with its server", func(o *Offer6) { o.BootFileName, o.TFTPServerName = strings.Repeat("x", 250), "boot.example" },
			func(o *Offer6) any { return o.url }, "", []string{`boot file URL "tftp://boot.example/"...: 270 bytes, want at most 255; not offered`}},
		{"a URL beside a server", func(o *Offer6) { o.BootFileName, o.TFTPServerName = "http://h/x", "fd00::9" },
			func(o *Offer6) any { return o.url }, "http://h/x", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := mustProfile6(t, "bridge")
			test.change(&o)
			given := fmt.Sprint(o)
			made, warnings, err := NewOffer6(o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, test.got(made), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !slices.Equal(warnings, test.warns) {
				t.Errorf("warnings\n%s\nwant\n%s", strings.Join(warnings, "\n"), strings.Join(test.warns, "\n"))
			}
			if fmt.Sprint(o) != given {
				t.Errorf("the argument was changed to %v", o)
			}
		})
	}
}

// TestSplitFamilies checks that a dual-stack pod's servers are told by the protocol of their IP version, without warnings.
func TestSplitFamilies(t *testing.T) {
	var servers []netip.Addr
	for _, a := range []string{"10.96.0.10", "fd00::a", "127.0.0.53", "::1", "::ffff:10.96.0.11"} {
		servers = append(servers, netip.MustParseAddr(a))
	}
	v4, v6 := SplitFamilies(servers)
	if got, want := fmt.Sprint(v4, v6), "[10.96.0.10 127.0.0.53 ::1 ::ffff:10.96.0.11] [fd00::a 127.0.0.53 ::1]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestOptions6 checks the options for a client that asks for all, by codes and in order, and what is left out of a small packet.
func TestOptions6(t *testing.T) {
	all := oro(23, 24, 31, 32, 39, 56, 59, 60, 82, 83)
	class := opt6(16, []byte{0, 0, 1, 87, 0, 27}, []byte("HTTPClient:Arch:00016:UNDI:"))
	pxe := opt6(16, []byte{0, 0, 1, 87, 0, 32}, []byte("PXEClient:Arch:00007:UNDI:003000"))
	large := func(o *Offer6) {
		o.MTU = 1280
		for n := range 12 {
			o.NTPServers = append(o.NTPServers, netip.MustParseAddr(fmt.Sprintf("fd00::1:%x", n)))
		}
		o.BootParameters = []string{strings.Repeat("p", 200), strings.Repeat("q", 200)}
	}
	for _, test := range []struct {
		name, profile string
		change        func(*Offer6)
		message       []byte
		want          string
	}{
		{"no request", "bridge+http", nil, message6(solicit6, cid(), na(1)), "1 2 7 3 23 24"},
		{"all", "bridge+http", nil, message6(solicit6, cid(), na(1), all), "1 2 7 3 23 59 82 83 24 56 31 60"},
		{"information", "bridge+http", nil, message6(inform6, cid(), all), "1 2 23 59 82 83 32 24 56 31 60"},
		{"information, without a request", "bridge+http", nil, message6(inform6), "2 23 32 24"},
		{"rapid commit", "bridge", nil, message6(solicit6, cid(), opt6(14), na(1), all), "1 2 14 3 23 82 83 24"},
		{"HTTP Boot", "bridge+http", nil, message6(solicit6, cid(), na(1), oro(59), class), "1 2 7 3 23 59 16 24"},
		{"HTTP Boot without a request for a file", "bridge+http", nil, message6(solicit6, cid(), na(1), class), "1 2 7 3 23 24"},
		{"HTTP Boot where the file is one of TFTP", "bridge+tftp", nil, message6(solicit6, cid(), na(1), oro(59), class), "1 2 7 3 23 59 24"},
		{"PXE", "bridge+http", nil, message6(solicit6, cid(), na(1), oro(59, 60), pxe), "1 2 7 3 23 59 24"},
		{"iPXE", "bridge+http", nil, message6(solicit6, cid(), na(1), oro(59, 60), pxe, opt6(15, []byte{0, 4}, []byte("iPXE"))), "1 2 7 3 23 59 24 60"},
		{"confirm", "bridge+http", nil, message6(confirm6, cid(), na(1, podAddress6), all), "1 2 13"},
		{"release", "bridge+http", nil, message6(release6, cid(), sid(), na(1, podAddress6), all), "1 2 13 3"},
		{"no names", "bridge", func(o *Offer6) { o.NameServers, o.Search = nil, nil }, message6(solicit6, cid(), na(1), all), "1 2 7 3 82 83"},
		{"a file and no names", "bridge+http", func(o *Offer6) { o.NameServers = nil }, message6(solicit6, cid(), na(1), all), "1 2 7 3 59 82 83 24 56 31 60"},
		{"more than fits", "bridge+http", large, message6(solicit6, cid(), na(1), all), "1 2 7 3 23 59 82 83 24 56 56 56 56 56 56 56 56 56 56 56 56 56 31 60"},
		{"more than fits with a long identifier", "bridge+http", large, message6(solicit6, opt6(1, make([]byte, 130)), na(1), na(2), na(3), na(4), all),
			"1 2 7 3 3 3 3 23 59 82 83 24 56 56 56 56 56 56 56 56 56 56 56 56 56 31"},
		{"much more than fits", "bridge+http", func(o *Offer6) { large(o); o.BootFileName = "http://" + strings.Repeat("u", 248) },
			message6(solicit6, opt6(1, make([]byte, 130)), na(1), na(2), na(3), na(4), na(5), na(6), na(7), na(8), all),
			"1 2 7 3 3 3 3 3 3 3 3 23 59 82 83 24 56 56 56 56 56 56 56 56 56 56 56 56 56"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := mustProfile6(t, test.profile)
			if test.change != nil {
				test.change(&o)
			}
			r := Answer6(newOffer6(t, o), query6(test.message))
			if r.Reply == nil {
				t.Fatal(r.Reason)
			}
			var codes []string
			for _, o := range parse6(t, r.Reply) {
				codes = append(codes, fmt.Sprint(o.code))
			}
			if got := strings.Join(codes, " "); got != test.want {
				t.Errorf("options %s, want %s, in %d bytes", got, test.want, len(r.Reply))
			}
			if len(r.Reply) > min(1450, max(o.MTU, 1280))-48 {
				t.Errorf("%d bytes", len(r.Reply))
			}
		})
	}
}

// TestBootFile6 checks the boot file for each client.
func TestBootFile6(t *testing.T) {
	for _, test := range []struct {
		name    string
		options []byte
		want    string
	}{
		{"any", nil, "tftp://[fd00:10:244:1::9]/boot/guest.efi"},
		{"iPXE", opt6(15, []byte{0, 1, 'x', 0, 4}, []byte("iPXE")), "http://boot.example/script.ipxe"},
		{"a class that contains the name", opt6(15, []byte{0, 5}, []byte("iPXE2")), "tftp://[fd00:10:244:1::9]/boot/guest.efi"},
		{"BIOS", opt6(61, []byte{0, 7, 0, 0}), "tftp://[fd00:10:244:1::9]/undionly.kpxe"},
		{"UEFI", opt6(61, []byte{0, 7}), "tftp://[fd00:10:244:1::9]/boot/guest.efi"},
	} {
		r := Answer6(newOffer6(t, mustProfile6(t, "bridge+tftp")), query6(message6(solicit6, cid(), na(1), oro(59), test.options)))
		if got := string(parse6(t, r.Reply).first(59)); got != test.want {
			t.Errorf("%s: boot file %q, want %q", test.name, got, test.want)
		}
	}
}

// TestHTTPBoot6 checks the vendor class of an offer of HTTP Boot.
func TestHTTPBoot6(t *testing.T) {
	class := opt6(16, []byte{0, 0, 1, 87, 0, 10}, []byte("HTTPClient"))
	r := Answer6(newOffer6(t, mustProfile6(t, "bridge+http")), query6(message6(solicit6, cid(), na(1), oro(59), class)))
	v := reply6(t, r).Options.VendorClasses()
	if len(v) != 1 || v[0].EnterpriseNumber != 343 || len(v[0].Data) != 1 || string(v[0].Data[0]) != "HTTPClient" {
		t.Errorf("vendor classes %v", v)
	}
}

// FuzzOffer6 parses any bytes as the JSON form of an IPv6 offer. The result is an error, or an offer that is written and read back
// unchanged, whose reply can be read, and whose advertisement has the pod address alone, on-link and without A.
func FuzzOffer6(f *testing.F) {
	for _, profile := range []string{"bridge", "bridge+http", "bridge+tftp", "bridge+closed", "bridge+ending"} {
		text, err := json.Marshal(newOffer6(f, mustProfile6(f, profile)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, s := range offerFields6() {
		f.Add(`{"address":"fd00::7","router_mac":"02:00:00:00:00:01","lease_seconds":60,` + s.text + `}`)
	}
	for _, text := range []string{"", "{}", "null", "[]", `{"router_mac":"x"}`, `{"address":"fe80::1","router_mac":"02:00:00:00:00:01","lease_seconds":60}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var offer Offer6
		if err := json.Unmarshal([]byte(text), &offer); err != nil || offer.options == nil {
			if !reflect.DeepEqual(offer, Offer6{}) {
				t.Errorf("the error %v, and the offer %+v", err, offer)
			}
			return
		}
		written, err := json.Marshal(&offer)
		if err != nil {
			t.Fatal(err)
		}
		var again Offer6
		if err := json.Unmarshal(written, &again); err != nil || !reflect.DeepEqual(again, offer) {
			t.Fatalf("%s is read as %+v, want %+v (%v)", written, again, offer, err)
		}
		checkAdvertisement(t, &offer)
		q := query6(message6(solicit6, opt6(1, make([]byte, 130)), na(1), oro(23, 24, 31, 56, 59, 60, 82, 83)))
		if offer.MTU == 0 {
			offer.MTU = 1280
		}
		checkReply6(t, &offer, q, Answer6(&offer, q))
	})
}

// checkAdvertisement checks the advertisement of any offer.
func checkAdvertisement(t *testing.T, o *Offer6) {
	t.Helper()
	for _, now := range []time.Time{testNow, o.Expires, o.Deprecated} {
		message := o.RouterAdvertisement(now)
		text := advertisementText(t, message)
		valid := o.Lease
		if !o.Expires.IsZero() {
			valid = max(0, min(valid, o.Expires.Sub(now)))
		}
		want := fmt.Sprintf("prefix %s/128, L true, A false, others 0, valid %d, ", o.Address, uint32(valid/time.Second))
		if len(message) > 1240 || strings.Count(text, "prefix") != 1 || !strings.Contains(text, want) {
			t.Errorf("%d bytes, want %q: %s", len(message), want, text)
		}
		closed := !slices.ContainsFunc(o.Routes, func(p netip.Prefix) bool { return p.Bits() == 0 })
		if closed != strings.Contains(text, "router for 0 s") || strings.Contains(text, "route ") && !closed || strings.Contains(text, "malformed") {
			t.Errorf("routes %s: %s", o.Routes, text)
		}
	}
}

// offerFields6 are optional fields.
func offerFields6() []offerSeed {
	var routes []string
	for n := range 80 {
		routes = append(routes, fmt.Sprintf(`"fd00:%x::/48"`, n+1))
	}
	return []offerSeed{
		{"a small MTU", `"mtu":1279`}, {"the least MTU", `"mtu":1280`},
		{"name servers", `"name_servers":["::1","fe80::ff:fe00:1","10.0.0.1","fd00::a%eth0","fd00::b"]`},
		{"routes", `"routes":[` + strings.Join(routes, ",") + `]`},
		{"routes of every kind", `"routes":["::/0","fe80::/10","ff00::/8","::/1","fd00::1/128","10.0.0.0/8"]`},
		{"an end before the beginning", `"expires":"2026-03-01T12:00:00Z","deprecated":"2026-03-02T12:00:00Z"`},
		{"an end far away", `"expires":"9999-03-01T12:00:00Z","lease_seconds":99999999999`},
		{"boot", `"boot_file_name":"a","tftp_server_name":"fd00::9","boot_files":[{"user_class":"x","boot_file_name":"http://h"},{"boot_file_name":"y"}],"boot_parameters":["","b"]`},
		{"long names", `"boot_file_name":"` + strings.Repeat("x", 255) + `","tftp_server_name":"h","search":["` + strings.Repeat("abcdefg.", 31) + `org"]`},
	}
}
