package dhcpsrv

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

// TestBootOptions checks when the options of a VM document are sent, and in which order.
func TestBootOptions(t *testing.T) {
	offer := newOffer(t, mustProfile(t, "flannel+boot"))
	for _, test := range []struct {
		name    string
		message []byte
		want    []uint8
	}{
		{"no list", message(discover), []uint8{53, 54, 51, 58, 59, 1, 3, 6, 12, 15, 26, 28, 42, 66, 67, 119, 121, 230, 224}},
		{"asked for", message(discover, wants(67, 42, 1, 66)), []uint8{53, 54, 51, 58, 59, 67, 42, 1, 66, 230, 224}},
		{"a private one asked for", message(discover, wants(224, 1)), []uint8{53, 54, 51, 58, 59, 224, 1, 230}},
		{"only private ones unasked", message(discover, wants(1)), []uint8{53, 54, 51, 58, 59, 1, 230, 224}},
		{"inform", message(inform, ciaddr("10.244.1.7"), wants(67)), []uint8{53, 54, 1, 67, 230, 224}},
		{"nak", message(requesting, asks("10.0.0.9"), wants(67)), []uint8{53, 54, 56}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, replyTo(t, offer, test.message).codes()); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBootFields checks "file" and siaddr, which BOOTP-style clients read instead of options.
func TestBootFields(t *testing.T) {
	long := strings.Repeat("b", maxBootFile+1)
	for _, test := range []struct {
		name, file, server string
		wantFile, wantNext string
	}{
		{"nothing", "", "", "", "0.0.0.0"},
		{"both", "pxe.0", "10.0.0.9", "pxe.0", "10.0.0.9"},
		{"a server by name", "pxe.0", "tftp.example.org", "pxe.0", "0.0.0.0"},
		{"an IPv6 server", "pxe.0", "fd00::9", "pxe.0", "0.0.0.0"},
		{"no host's address", "pxe.0", "255.255.255.255", "pxe.0", "0.0.0.0"},
		{"the longest file", long[1:], "", long[1:], "0.0.0.0"},
		{"longer than the field", long, "", "", "0.0.0.0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := mustProfile(t, "flannel")
			o.BootFileName, o.TFTPServerName = test.file, test.server
			made := newOffer(t, o)
			for _, m := range [][]byte{message(discover), message(requesting, asks("10.244.1.7")), message(inform, ciaddr("10.244.1.7"))} {
				d := replyTo(t, made, m)
				if d.file() != test.wantFile || d.addr(20).String() != test.wantNext {
					t.Errorf("file %q, siaddr %s, want %q and %s", d.file(), d.addr(20), test.wantFile, test.wantNext)
				}
				if string(d.value(67)) != test.file || string(d.value(66)) != test.server {
					t.Errorf("options 67 %q and 66 %q, want %q and %q", d.value(67), d.value(66), test.file, test.server)
				}
			}
			if d := replyTo(t, made, message(requesting, asks("10.0.0.9"))); d.file() != "" || d.addr(20) != netip.IPv4Unspecified() {
				t.Errorf("a NAK has file %q, siaddr %s", d.file(), d.addr(20))
			}
		})
	}
}

// TestBootFiles checks which client gets which boot file.
func TestBootFiles(t *testing.T) {
	bios, http := uint16(0), uint16(16)
	o := mustProfile(t, "flannel+boot")
	o.BootFiles = []BootFile{{UserClass: "iPXE", Name: "http://10.244.1.8/script"}, {Architecture: &bios, Name: "undionly.kpxe"},
		{UserClass: "blue", Architecture: &http, Name: "https://10.244.1.8/blue.efi"}}
	made := newOffer(t, o)
	for _, test := range []struct {
		name    string
		options []dhcpv4.Modifier
		want    string
	}{
		{"neither", nil, "boot/guest.ipxe"},
		{"user class as iPXE sends it", []dhcpv4.Modifier{raw(77, []byte("iPXE")...)}, "http://10.244.1.8/script"},
		{"user classes of RFC 3004", []dhcpv4.Modifier{raw(77, []byte("\x03red\x04iPXE")...)}, "http://10.244.1.8/script"},
		{"another user class", []dhcpv4.Modifier{raw(77, []byte("\x05iPXE2")...)}, "boot/guest.ipxe"},
		{"truncated user class", []dhcpv4.Modifier{raw(77, []byte("\x09iPXE")...)}, "boot/guest.ipxe"},
		{"the first match", []dhcpv4.Modifier{raw(77, []byte("iPXE")...), raw(93, 0, 0)}, "http://10.244.1.8/script"},
		{"architecture", []dhcpv4.Modifier{raw(93, 0, 0)}, "undionly.kpxe"},
		{"the second architecture", []dhcpv4.Modifier{raw(93, 0, 7, 0, 0)}, "undionly.kpxe"},
		{"half an architecture", []dhcpv4.Modifier{raw(93, 0)}, "boot/guest.ipxe"},
		{"one of two conditions", []dhcpv4.Modifier{raw(93, 0, 16)}, "boot/guest.ipxe"},
		{"both conditions", []dhcpv4.Modifier{raw(93, 0, 16), raw(77, []byte("blue")...)}, "https://10.244.1.8/blue.efi"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := replyTo(t, made, message(discover, append(test.options, wants(67))...))
			if string(d.value(67)) != test.want || d.file() != test.want {
				t.Errorf("boot file %q, field %q, want %q", d.value(67), d.file(), test.want)
			}
		})
	}
	o.BootFileName = ""
	if d := replyTo(t, newOffer(t, o), message(discover)); d.value(67) != nil || d.file() != "" {
		t.Errorf("a client that matches nothing gets the boot file %q, field %q", d.value(67), d.file())
	}
}

// TestHTTPBoot checks when a reply has option 60: for a client of HTTP Boot whose boot file has a URI.
func TestHTTPBoot(t *testing.T) {
	const uri = "http://10.244.1.8/boot.efi"
	for _, test := range []struct {
		name, class, file string
		extra             []ExtraOption
		want              string
	}{
		{"HTTP", "HTTPClient:Arch:00016:UNDI:003001", uri, nil, "HTTPClient"},
		{"PXE", "PXEClient:Arch:00007:UNDI:003016", uri, nil, ""},
		{"no URI", "HTTPClient:Arch:00016:UNDI:003001", "boot.efi", nil, ""},
		{"no boot file", "HTTPClient:Arch:00016:UNDI:003001", "", nil, ""},
		{"the document's", "HTTPClient:Arch:00016:UNDI:003001", uri, []ExtraOption{{60, []byte("mine")}}, "mine"},
		{"the document's for all", "", "", []ExtraOption{{60, []byte("mine")}}, "mine"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := mustProfile(t, "flannel")
			o.BootFileName, o.Extra = test.file, test.extra
			made := newOffer(t, o)
			for _, m := range [][]byte{message(discover, wants(1, 3), raw(60, []byte(test.class)...)), message(discover, raw(60, []byte(test.class)...)),
				message(requesting, asks("10.244.1.7"), wants(67, 60), raw(60, []byte(test.class)...))} {
				if d := replyTo(t, made, m); string(d.value(60)) != test.want {
					t.Errorf("option 60 is %q in %d, want %q", d.value(60), d.codes(), test.want)
				}
			}
		})
	}
}

// TestExtra checks that options by number are sent after the others, are omitted where there is no room, and that unusable ones are not
// offered.
func TestExtra(t *testing.T) {
	o := mustProfile(t, "flannel+boot")
	o.Extra = []ExtraOption{{150, []byte{10, 244, 1, 9}}, {43, []byte{6, 1, 8}}}
	made := newOffer(t, o)
	if diff := cmp.Diff([]uint8{53, 54, 51, 58, 59, 43, 1, 230, 224, 150}, replyTo(t, made, message(discover, wants(43, 1))).codes()); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if d := replyTo(t, made, message(discover, raw(61, make([]byte, 255)...))); d.value(150) != nil {
		t.Error("an option is sent where there is no room")
	}
	o.Extra = []ExtraOption{{3, []byte{1}}, {224, []byte{1}}, {43, nil}, {43, make([]byte, 256)}, {43, []byte{1}}, {43, []byte{2}}}
	o.BootFiles = []BootFile{{Name: "a"}, {UserClass: "b", Name: "\n"}}
	made, warnings, err := NewOffer(o)
	if err != nil || len(warnings) != 7 || len(made.Extra) != 1 || len(made.BootFiles) != 0 {
		t.Errorf("error %v, options %v, boot files %v, warnings %q", err, made.Extra, made.BootFiles, warnings)
	}
}

// TestBootWarnings checks that values which do not fit their option are omitted with one warning each, and no others.
func TestBootWarnings(t *testing.T) {
	text := strings.Repeat("x", maxInstance)
	o := mustProfile(t, "flannel")
	o.BootFileName, o.TFTPServerName = "a\x00b", text+"x"
	o.NTPServers = []netip.Addr{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("224.0.1.1"), {}}
	for i := range byte(maxNTPServers + 1) {
		o.NTPServers = append(o.NTPServers, netip.AddrFrom4([4]byte{10, 0, 0, i + 1}), netip.AddrFrom4([4]byte{10, 0, 0, 1}))
	}
	o.Private = []PrivateOption{{223, "a"}, {255, "a"}, {224, ""}, {225, text + "x"}, {226, text}, {226, "b"}, {254, "c\x00"}}
	made, warnings, err := NewOffer(o)
	if err != nil || len(warnings) != 2+3+1+5 {
		t.Fatalf("error %v, %d warnings %q", err, len(warnings), warnings)
	}
	if made.BootFileName != "" || made.TFTPServerName != "" || len(made.NTPServers) != maxNTPServers {
		t.Errorf("kept %q, %q and %d NTP servers", made.BootFileName, made.TFTPServerName, len(made.NTPServers))
	}
	if diff := cmp.Diff([]PrivateOption{{226, text}, {254, "c\x00"}}, made.Private); diff != "" {
		t.Errorf("private options (-want +got):\n%s", diff)
	}
	d := replyTo(t, made, message(discover, size(1450)))
	if string(d.value(226)) != text || string(d.value(254)) != "c\x00" || len(d.value(42)) != 4*maxNTPServers {
		t.Errorf("options 226 %q, 254 %q, 42 %x", d.value(226), d.value(254), d.value(42))
	}
}

// TestPrivateInsteadOfRoutes checks that a private option 249 replaces the routes.
func TestPrivateInsteadOfRoutes(t *testing.T) {
	o := mustProfile(t, "flannel")
	o.Private = []PrivateOption{{249, "mine"}}
	made, warnings, err := NewOffer(o)
	if err != nil || len(warnings) != 1 {
		t.Fatalf("error %v, warnings %q, want one", err, warnings)
	}
	for _, m := range [][]byte{message(discover), message(discover, wants(1)), message(discover, wants(249, 121, 1))} {
		if d := replyTo(t, made, m); string(d.value(249)) != "mine" {
			t.Errorf("option 249 is %q in %d", d.value(249), d.codes())
		}
	}
	if d := replyTo(t, made, message(discover, wants(249, 121, 1))); len(d.value(121)) == 0 || len(d.codes()) != 8 {
		t.Errorf("options %d", d.codes())
	}
}

// TestBootRoom checks the order of omission: private options, from the highest code down, before the boot file.
func TestBootRoom(t *testing.T) {
	o := mustProfile(t, "flannel+boot")
	o.Private = []PrivateOption{{254, strings.Repeat("z", 60)}, {224, strings.Repeat("a", 60)}}
	for _, test := range []struct {
		name       string
		identifier int
		file       string
		want, lack []uint8
	}{
		{"room for all", 1, "pxe.0", []uint8{121, 26, 67, 66, 119, 15, 12, 42, 224, 254}, nil},
		{"room for one", 54, "pxe.0", []uint8{121, 26, 67, 66, 119, 15, 12, 42, 224}, []uint8{254}},
		{"room for neither", 120, "pxe.0", []uint8{121, 26, 67, 66, 119, 15, 12, 42}, []uint8{224, 254}},
		{"the boot file before names", 60, strings.Repeat("b", 127), []uint8{121, 26, 67, 66, 15, 12, 42}, []uint8{119, 224, 254}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o.BootFileName = test.file
			made := newOffer(t, o)
			m := message(discover, raw(61, make([]byte, test.identifier)...))
			r := Answer(made, Query{Message: m, Now: testNow})
			checkReply(t, made, r)
			if len(r.Reply) > 548 {
				t.Errorf("%d bytes of reply, at most 548", len(r.Reply))
			}
			d := replyTo(t, made, m)
			for _, code := range test.want {
				if d.value(code) == nil {
					t.Errorf("option %d is missing in %d", code, d.codes())
				}
			}
			for _, code := range test.lack {
				if d.value(code) != nil {
					t.Errorf("option %d was sent, in %d bytes", code, len(r.Reply))
				}
			}
		})
	}
}

// TestOfferJSON checks the JSON form of the boot options.
func TestOfferJSON(t *testing.T) {
	text, err := json.Marshal(newOffer(t, mustProfile(t, "flannel+boot")))
	if err != nil {
		t.Fatal(err)
	}
	want := `"boot_file_name":"boot/guest.ipxe","tftp_server_name":"10.244.1.9","ntp_servers":["10.244.1.10","10.244.1.11"],` +
		`"private_options":[{"option":230,"value":"rack 7"},{"option":224,"value":"blue"}]}`
	if !strings.HasSuffix(string(text), want) {
		t.Errorf("got %s, want its end to be %s", text, want)
	}
	if text, err = json.Marshal(newOffer(t, mustProfile(t, "flannel"))); err != nil || strings.Contains(string(text), "boot") {
		t.Errorf("without options: %s, %v", text, err)
	}
}
