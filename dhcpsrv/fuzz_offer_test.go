package dhcpsrv

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FuzzOffer parses any bytes as the JSON form of an offer. The result is an error, or an offer whose fields are all valid, which is
// written and read back unchanged, and whose longest reply is well-formed and has the same values.
func FuzzOffer(f *testing.F) {
	for _, s := range offerSeeds(f) {
		f.Add(s.text)
	}
	discovery := message(discover, raw(55, allCodes()...), size(65535))
	f.Fuzz(func(t *testing.T, text string) {
		var offer Offer
		if err := json.Unmarshal([]byte(text), &offer); err != nil || offer.options == nil {
			if !reflect.DeepEqual(offer, Offer{}) {
				t.Errorf("the error %v, and the offer %+v", err, offer)
			}
			return
		}
		written, err := json.Marshal(&offer)
		if err != nil {
			t.Fatal(err)
		}
		var again Offer
		if err := json.Unmarshal(written, &again); err != nil || !reflect.DeepEqual(again, offer) {
			t.Fatalf("%s is read as %+v, want %+v (%v)", written, again, offer, err)
		}
		checkOffer(t, &offer)
		checkLease(t, text, &offer)
		r := Answer(&offer, Query{Message: discovery, Now: testNow})
		checkReply(t, &offer, r)
		if reply, err := decode(r.Reply); err != nil {
			t.Errorf("the reply cannot be read: %v", err)
		} else {
			checkNames(t, &offer, &reply)
		}
	})
}

// checkOffer checks that every field fits its option and is valid for a client (RFC 1123, section 2.1; RFC 2132; RFC 3397).
func checkOffer(t *testing.T, o *Offer) {
	t.Helper()
	host := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	domain := regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	if o.HostName != "" && (len(o.HostName) > 253 || !host.MatchString(strings.ToLower(o.HostName))) {
		t.Errorf("the host name %q passes", o.HostName)
	}
	encoded := 0
	for i, name := range append(slices.Clone(o.Search), o.Domain) {
		if i < len(o.Search) {
			encoded += len(name) + 2
		}
		if name == "" && i == len(o.Search) {
			continue
		}
		if len(name) > 253 || !domain.MatchString(name) || slices.Contains(o.Search[:i], name) && i < len(o.Search) {
			t.Errorf("the domain %q of %q passes", name, o.Search)
		}
	}
	if encoded > 255 || len(o.NameServers) > 5 || len(o.NTPServers) > 63 {
		t.Errorf("%d bytes of search domains, %d name servers, %d NTP servers", encoded, len(o.NameServers), len(o.NTPServers))
	}
	for _, a := range slices.Concat(o.NameServers, o.NTPServers, []netip.Addr{o.Server, o.Address.Addr()}) {
		if b := a.AsSlice(); !a.Is4() || b[0] == 127 || b[0]&0xf0 == 0xe0 || a.IsUnspecified() || a == netip.MustParseAddr("255.255.255.255") {
			t.Errorf("the address %s passes", a)
		}
	}
	seen := map[uint8]bool{}
	for _, p := range o.Private {
		if p.Code < 224 || p.Code > 254 || p.Value == "" || len(p.Value) > 255 || seen[p.Code] {
			t.Errorf("the private option %+v passes", p)
		}
		seen[p.Code] = true
	}
	for _, text := range []string{o.BootFileName, o.TFTPServerName} {
		if len(text) > 255 || regexp.MustCompile(`[\x00-\x1f\x7f]`).MatchString(text) {
			t.Errorf("the text %q passes", text)
		}
	}
}

// checkLease checks that the lease is the one in the text, or the longest possible one.
func checkLease(t *testing.T, text string, o *Offer) {
	t.Helper()
	var given struct {
		Lease int64 `json:"lease_seconds"`
	}
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		t.Fatal(err)
	}
	if got := int64(o.Lease.Seconds()); got != min(given.Lease, 1<<32-2) {
		t.Errorf("a lease of %d seconds, given were %d", got, given.Lease)
	}
}

// checkNames checks that the reply to a client that asks for all options, with any size, has the names of the offer. A private option
// replaces another option with its code.
func checkNames(t *testing.T, o *Offer, reply *decoded) {
	t.Helper()
	private := map[uint8]string{}
	for _, p := range o.Private {
		private[p.Code] = p.Value
	}
	want := map[uint8]string{12: o.HostName, 15: o.Domain, 66: o.TFTPServerName, 67: o.BootFileName}
	for code, value := range private {
		want[code] = value
	}
	for code, value := range want {
		if got := string(reply.value(code)); got != value && (got != "" || o.MTU == maxMTU) { // there is room for all in the largest
			t.Errorf("option %d is %q, want %q", code, got, value)
		}
	}
	if got := domains(reply.value(119)); (got != "" || o.MTU == maxMTU) && got != strings.Join(o.Search, " ") {
		t.Errorf("search domains %q, want %q", got, o.Search)
	}
	if file := reply.file(); len(o.BootFileName) <= 127 && file != o.BootFileName || len(o.BootFileName) > 127 && file != "" {
		t.Errorf("the field file is %q, the boot file is %q", file, o.BootFileName)
	}
}

// An offerSeed is an offer in JSON.
type offerSeed struct{ name, text string }

func offerSeeds(f *testing.F) []offerSeed {
	seeds := []offerSeed{
		{"nothing", "{}"}, {"no object", "[]"}, {"nothing at all", ""}, {"null", "null"},
	}
	for _, plugin := range []string{"flannel+boot", "calico", "weave", "openshift-sdn", "aws-vpc"} {
		text, err := json.Marshal(newOffer(f, mustProfile(f, plugin)))
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, offerSeed{plugin, string(text)})
	}
	const least = `"address":"10.0.0.2/24","server":"10.0.0.1","lease_seconds":60`
	for _, s := range offerFields() {
		seeds = append(seeds, offerSeed{s.name, "{" + least + "," + s.text + "}"})
	}
	for _, s := range faultyOffers() {
		seeds = append(seeds, offerSeed{s.name, "{" + s.text + "}"})
	}
	return seeds
}

// faultyOffers are refused.
func faultyOffers() []offerSeed {
	return []offerSeed{
		{"an IPv6 pod address", `"address":"fd00::7/64","server":"10.0.0.1","lease_seconds":60`},
		{"the pod is its own server", `"address":"10.0.0.2/24","server":"10.0.0.2","lease_seconds":60`},
		{"an IPv6 gateway", `"address":"10.0.0.2/24","server":"10.0.0.1","gateway":"fe80::1","lease_seconds":60`},
		{"an MTU below IPv4's least", `"address":"10.0.0.2/24","server":"10.0.0.1","mtu":67,"lease_seconds":60`},
		{"a lease in which T1 and T2 fall together", `"address":"10.0.0.2/24","server":"10.0.0.1","lease_seconds":3`},
		{"a string for a number", `"lease_seconds":"1h"`},
	}
}

// offerFields are optional fields.
func offerFields() []offerSeed {
	label, many := strings.Repeat("a", 63), []string{}
	for n := range 70 {
		many = append(many, fmt.Sprintf(`"10.1.0.%d"`, n+1))
	}
	servers, long := strings.Join(many, ","), strings.Repeat("x", 256)
	return []offerSeed{
		{"a small lease and the largest MTU", `"mtu":65535,"host_name":"a","domain":"b","search":["c"],"boot_file_name":"d","tftp_server_name":"e","private_options":[{"option":249,"value":"f"}]`},
		{"two hosts and no broadcast", `"address":"10.0.0.2/31"`},
		{"a lease longer than there is", `"lease_seconds":5000000000`},
		{"name servers: loopback, the unspecified, mapped, a group, IPv6, twice", `"name_servers":["127.0.0.53","0.0.0.0","::ffff:10.96.0.10","224.0.0.251","fd00::10","10.96.0.10"]`},
		{"more name servers and NTP servers than their options hold", `"name_servers":[` + servers + `],"ntp_servers":[` + servers + `]`},
		{"NTP servers twice, of a group, and IPv6", `"ntp_servers":["10.0.0.9","10.0.0.9","224.0.1.1","fd00::1"]`},
		{"domains: in upper case with a final dot, twice, an address, empty labels, the root", `"search":["A.b.","a.b","10.0.0.1","a..b",".",""]`},
		{"domains: hyphens and underscores at the ends of labels, in the last one", `"search":["-a.org","a-.org","_a.org","a_.org","a.o_g"],"domain":"1a"`},
		{"domains: longest label and longer, longest name and longer, not ASCII", `"search":["` + label + `.org","a` + label + `.org","` + strings.Repeat("abcdefg.", 31) + `orgorg","bücher.example","a b"]`},
		{"more search domains than their option holds", `"search":["` + label + `.a","` + label + `.b","` + label + `.c","` + label + `.d"]`},
		{"host names: dots, capitals", `"host_name":"Web-0.example","domain":"Example.ORG."`},
		{"a host name with an underscore", `"host_name":"web_0"`},
		{"a host name with a control character", `"host_name":"web\u001b[31m"`},
		{"routes: IPv6, a gateway of IPv6, host bits, twice, none", `"routes":[{"destination":"fd00::/64"},{"destination":"10.9.0.0/16","gateway":"fe80::1"},` +
			`{"destination":"10.8.5.5/16","gateway":"10.0.0.1"},{"destination":"10.8.0.0/16","gateway":"10.0.0.3"},{}]`},
		{"routes: a default on-link", `"routes":[{"destination":"0.0.0.0/0"}]`},
		{"routes: a default on-link by an unspecified gateway, and a gateway of its own", `"gateway":"0.0.0.0","routes":[{"destination":"0.0.0.0/0","gateway":"0.0.0.0"},{"destination":"10.0.0.0/24"}]`},
		{"routes: the gateway and the server are outside, and no route leads there", `"gateway":"10.9.9.9","server":"169.254.1.1","routes":[{"destination":"10.7.0.0/16","gateway":"10.9.9.8"}]`},
		{"routes: no default, and the server is behind a gateway", `"server":"169.254.1.1","routes":[{"destination":"169.254.0.0/16","gateway":"10.0.0.3"}]`},
		{"boot file: longer than the field, with a server's name", `"boot_file_name":"` + long[:200] + `","tftp_server_name":"boot.example"`},
		{"boot file and server: longer than an option", `"boot_file_name":"` + long + `","tftp_server_name":"` + long + `"`},
		{"boot file: half of the field with control characters", `"boot_file_name":"a\u0000b","tftp_server_name":"\u007f"`},
		{"boot server: an address, and one that no host has", `"tftp_server_name":"10.0.0.5","boot_file_name":"b"`},
		{"boot server: a group's address", `"tftp_server_name":"224.0.0.1"`},
		{"private options: too low, too high, twice, empty, too long, Windows' routes", `"private_options":[{"option":223,"value":"a"},{"option":255,"value":"a"},` +
			`{"option":224,"value":"a"},{"option":224,"value":"b"},{"option":225,"value":""},{"option":226,"value":"` + long + `"},{"option":249,"value":"x"}]`},
	}
}
