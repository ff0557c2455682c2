package hypervisor

import (
	"encoding/xml"
	"net"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/model"
)

func TestParseAttachment(t *testing.T) {
	for _, c := range []struct{ text, fault string }{
		{"packet:tap0", ""}, {"tap:tap0", ""}, {"stream:/run/a,b", ""}, {"stream:a", ""}, {"dgram:/a,/b", ""}, {"fd:3", ""},
		{"stream:/" + strings.Repeat("x", 106), ""}, {"stream:/a:b c", ""},
		{"", "packet:NAME"}, {"tap0", "packet:NAME"}, {"tun:tun0", "packet:NAME"}, {":tap0", "packet:NAME"},
		{"packet:", "1 to 15"}, {"packet:1234567890123456", "1 to 15"}, {"packet:a/b", "1 to 15"}, {"packet:tap%d", "1 to 15"},
		{"packet:a b", "1 to 15"}, {"packet:a\x01", "1 to 15"}, {"packet:..", "1 to 15"},
		{"stream:", "missing"}, {"stream:/" + strings.Repeat("x", 107), "108 bytes"}, {"stream:@a", "abstract"},
		{"stream:/a\n-device", "control"}, {"stream:/a\x00", "control"},
		{"dgram:/a", ""}, {"dgram:", "missing"}, {"dgram:/a,/b,/c", "one comma"}, {"dgram:/a,", "missing"}, {"dgram:/a,/a", "the same"},
		{"fd:", "fd:3"}, {"fd:-1", "fd:3"}, {"fd:x", "fd:3"}, {"fd:+3", "fd:3"}, {"fd:4294967299", "fd:3"},
	} {
		a, err := ParseAttachment(c.text)
		switch {
		case c.fault == "" && err != nil:
			t.Errorf("%q: %v", c.text, err)
		case c.fault == "" && a.String() != c.text:
			t.Errorf("%q reads as %q", c.text, a)
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%q: %v; want %q", c.text, err, c.fault)
		}
	}
}

// TestRefused checks settings and attachments that are invalid with every document. An attachment that does not come from
// ParseAttachment is checked too.
func TestRefused(t *testing.T) {
	packet := Attachment{KindPacket, "tap0"}
	for _, c := range []struct {
		guest    Attachment
		settings Settings
		fault    string
	}{
		{Attachment{}, Settings{}, "packet:NAME"},
		{Attachment{KindPacket, "tap0,script=/x"}, Settings{}, "1 to 15"},
		{Attachment{KindStream, "/a\nb"}, Settings{}, "control"},
		{Attachment{KindDgram, "/a"}, Settings{}, "LOCAL,REMOTE"},
		{packet, Settings{MTU: 67}, "--mtu 67"},
		{packet, Settings{MTU: 65536}, "--mtu 65536"},
		{packet, Settings{MTU: -1}, "--mtu -1"},
		{packet, Settings{Queues: -1}, "--queues -1"},
		{packet, Settings{Queues: 257}, "1 to 256"},
		{packet, Settings{MAC: net.HardwareAddr{1, 0, 0, 0, 0, 1}}, "unicast"},
		{packet, Settings{MAC: make(net.HardwareAddr, 6)}, "unicast"},
		{packet, Settings{MAC: net.HardwareAddr{2}}, "six bytes"},
	} {
		_, errQEMU := QEMUArgs(model.Default(), c.guest, c.settings)
		_, errLibvirt := LibvirtXML(model.Default(), c.guest, c.settings)
		for _, err := range []error{errQEMU, errLibvirt} {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s %+v: %v; want %q", c.guest, c.settings, err, c.fault)
			}
		}
	}
}

// TestQEMUOnly checks settings that are invalid for QEMU and valid for libvirt.
func TestQEMUOnly(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(*model.Interface)
		settings Settings
		fault    string
	}{
		{"boot order", func(i *model.Interface) { i.BootOrder = 1 << 31 }, Settings{}, "at most 2147483647"},
		{"bus without address", func(*model.Interface) {}, Settings{Bus: "port"}, "needs a pciAddress"},
		{"domain", func(i *model.Interface) { i.PCIAddress = "0001:00:01.0" }, Settings{}, "--bus"},
	} {
		vm := model.Default()
		c.change(&vm.Interface)
		if _, err := QEMUArgs(vm, Attachment{KindPacket, "tap0"}, c.settings); err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v; want %q", c.name, err, c.fault)
		}
		if _, err := LibvirtXML(vm, Attachment{KindPacket, "tap0"}, c.settings); err != nil {
			t.Errorf("%s: libvirt: %v", c.name, err)
		}
	}
}

// TestDeriveMAC checks that a derived MAC is valid for a guest and depends on the interface name and the pod's MAC alone.
func TestDeriveMAC(t *testing.T) {
	pod := net.HardwareAddr{0x0a, 0x58, 0x0a, 0xf4, 1, 7}
	seen := map[string]string{}
	for _, name := range []string{"default", "red", "blue", "a", "b"} {
		for _, p := range []net.HardwareAddr{nil, pod, {0x0a, 0x58, 0x0a, 0xf4, 1, 8}} {
			mac := DeriveMAC(name, p)
			if len(mac) != 6 || mac[0]&3 != 2 {
				t.Errorf("%s %s: %s is not unicast and locally administered", name, p, mac)
			}
			if again := DeriveMAC(name, p); again.String() != mac.String() {
				t.Errorf("%s %s: first %s, then %s", name, p, mac, again)
			}
			if other, twice := seen[mac.String()]; twice {
				t.Errorf("%s %s has the MAC of %s", name, p, other)
			}
			seen[mac.String()] = name + " " + p.String()
		}
	}
}

// TestXMLEscapes checks that the name of a device cannot break the element.
func TestXMLEscapes(t *testing.T) {
	text, err := LibvirtXML(model.Default(), Attachment{KindPacket, `"'<&>`}, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Target struct {
			Dev string `xml:"dev,attr"`
		} `xml:"target"`
	}
	if err := xml.Unmarshal(text, &read); err != nil || read.Target.Dev != `"'<&>` {
		t.Errorf("%v: %q from %s", err, read.Target.Dev, text)
	}
}
