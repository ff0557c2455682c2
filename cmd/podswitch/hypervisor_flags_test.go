package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/pod/podnet"
)

// TestQEMUArgs checks both output formats.
func TestQEMUArgs(t *testing.T) {
	args := []string{"qemu-args", "--vm", "-", "--guest", "stream:/run/a,b", "--mtu", "1450", "--guest-mac", "52:54:00:12:34:56"}
	want := []string{"-netdev", "stream,id=net-red,server=off,addr.type=unix,addr.path=/run/a,,b",
		"-device", "virtio-net-pci,netdev=net-red,id=nic-red,mac=52:54:00:12:34:56,host_mtu=1450,bus=port1,addr=00.0,romfile="}
	args = append(args, "--bus", "port1", "--interface", "red")
	text, stderr, code := do(t, redDocument("pciAddress: '0000:01:00.0'"), args...)
	if code != exitOK || text != strings.Join(want, "\n")+"\n" || stderr != "" {
		t.Errorf("text: exit code %d: %s%s", code, text, stderr)
	}
	data, stderr, code := do(t, redDocument("pciAddress: '0000:01:00.0'"), append(args, "-o", "json")...)
	var got []string
	if err := json.Unmarshal([]byte(data), &got); err != nil || code != exitOK || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("json: exit code %d: %v %s%s", code, err, data, stderr)
	}
}

// redDocument returns a document of the interface red with one more field.
func redDocument(field string) string {
	return fmt.Sprintf("spec: {devices: {interfaces: [{name: red, bridge: {delegateIp: true}, %s}]}, networks: [{name: red, pod: {}}]}\n", field)
}

// TestLibvirtXML checks that the output is the complete element.
func TestLibvirtXML(t *testing.T) {
	text, stderr, code := do(t, "", "libvirt-xml", "--guest", "packet:tap0", "--mtu", "1450", "--guest-mac", "52:54:00:12:34:56", "--queues", "2")
	var read struct {
		XMLName xml.Name `xml:"interface"`
		Driver  struct {
			Queues int `xml:"queues,attr"`
		} `xml:"driver"`
	}
	if err := xml.Unmarshal([]byte(text), &read); err != nil || code != exitOK || read.Driver.Queues != 2 || stderr != "" {
		t.Errorf("exit code %d: %v %s%s", code, err, text, stderr)
	}
}

// TestQEMUNote checks that a setting without a QEMU argument becomes a note on stderr.
func TestQEMUNote(t *testing.T) {
	stdout, stderr, code := do(t, redDocument("state: down"), "qemu-args", "--vm", "-", "--guest", "packet:tap0", "--mtu", "0", "--guest-mac", "52:54:00:12:34:56")
	if code != exitOK || strings.Contains(stdout, "set_link") || !strings.Contains(stderr, "set_link nic-red off") {
		t.Errorf("exit code %d: stdout %s, stderr %s", code, stdout, stderr)
	}
}

// TestHypervisorUsage checks exit code and message of invalid command lines, and that stdout stays empty.
func TestHypervisorUsage(t *testing.T) {
	for _, c := range []struct {
		verb, args, document string
		message              string
	}{
		{"qemu-args", "", "", "--guest is missing"},
		{"libvirt-xml", "", "", "--guest is missing"},
		{"qemu-args", "--guest tap:tap0", "", "packet:tap0"},
		{"libvirt-xml", "--guest tap:tap0", "", "packet:tap0"},
		{"qemu-args", "--guest fd:3", "", "opened the descriptor"},
		{"qemu-args", "--guest tun:tun0", "", "packet:NAME"},
		{"libvirt-xml", "--guest stream:/run/a", "", "qemu-args"},
		{"libvirt-xml", "--guest dgram:/run/a,/run/b", "", "qemu-args"},
		{"libvirt-xml", "--guest packet:tap0 --bus port1", "", "--bus"},
		{"qemu-args", "--guest packet:tap0 --mtu 20", "", "--mtu 20"},
		{"qemu-args", "--guest packet:tap0 --queues 2", redDocument("model: e1000"), "e1000"},
		{"qemu-args", "--guest packet:tap0 --interface blue", "", `"blue"`},
		{"qemu-args", "--guest packet:tap0 --pod-interface a/b", "", "a/b"},
		{"qemu-args", "--guest packet:tap0 extra", "", "extra"},
		{"qemu-args", "--guest packet:tap0 -o xml", "", "text or json"},
		{"qemu-args", "--guest packet:tap0", redDocument("pciAddress: '0000:01:00.0'"), "--bus"},
		{"qemu-args", "--guest packet:tap0", redDocument("model: ne2000"), "model"},
	} {
		args := append([]string{c.verb, "--guest-mac", "52:54:00:12:34:56"}, strings.Fields(c.args)...)
		if !strings.Contains(c.args, "--mtu") {
			args = append(args, "--mtu", "0")
		}
		if c.document != "" {
			args = append(args, "--vm", "-")
		}
		stdout, stderr, code := do(t, c.document, args...)
		if code != exitUsage || !strings.Contains(stderr, c.message) || stdout != "" {
			t.Errorf("%q: exit code %d, stderr %q, stdout %q; want 2 and %q", args, code, stderr, stdout, c.message)
		}
	}
}

// A podCase is a command line, the result of discovering the pod, and the expected settings.
type podCase struct {
	name, args, document string
	id                   *podnet.Identity
	err                  error
	mtu                  int
	mac, podMAC          string
	asked                bool
	fault, note          string
}

// TestReadPod checks which settings come from the pod interface, and when the interface must exist.
func TestReadPod(t *testing.T) {
	pod := &podnet.Identity{Link: podnet.Link{Name: "eth0", MTU: 1450, MAC: podnet.MAC{0x0a, 0x58, 0x0a, 0xf4, 1, 7}}}
	bare := &podnet.Identity{Link: podnet.Link{Name: "eth0", MTU: 1450}}
	absent := &missing.Error{What: "look at eth0", Need: "the interface eth0"}
	const wire = "0a:58:0a:f4:01:07"
	for _, c := range []podCase{
		{name: "pod", id: pod, mtu: 1450, podMAC: wire, asked: true},
		{name: "taken by a run", id: pod, err: podnet.ErrTaken, mtu: 1450, podMAC: wire, asked: true},
		{name: "no pod", err: absent, asked: true, note: "the interface eth0"},
		{name: "no pod, but named", args: "--pod-interface eth0", err: absent, asked: true, fault: "the interface eth0"},
		{name: "nothing to ask", args: "--mtu 0 --guest-mac 52:54:00:12:34:56", mac: "52:54:00:12:34:56"},
		{name: "no MTU to show", document: redDocument("model: e1000, macAddress: '52:54:00:00:00:01'")},
		{name: "MAC only", args: "--mtu 1400", id: pod, mtu: 1400, podMAC: wire, asked: true},
		{name: "MTU only", args: "--guest-mac 52:54:00:12:34:56", id: pod, mtu: 1450, mac: "52:54:00:12:34:56", podMAC: wire, asked: true},
		{name: "the pod's MAC", args: "--guest-mac pod", id: pod, mtu: 1450, mac: wire, podMAC: wire, asked: true},
		{name: "the pod's MAC, no pod", args: "--guest-mac pod", err: absent, asked: true, fault: "the interface eth0"},
		{name: "the pod's MAC, none", args: "--guest-mac pod", id: bare, asked: true, mtu: 1450, fault: "has no MAC"},
		{name: "no MAC", id: bare, asked: true, mtu: 1450},
	} {
		t.Run(c.name, c.check)
	}
}

func (c *podCase) check(t *testing.T) {
	var f hypervisorFlags
	var notes bytes.Buffer
	asked := false
	command := &cobra.Command{}
	f.add(command)
	f.discover = func(string) (*podnet.Identity, error) { asked = true; return c.id, c.err }
	command.SetErr(&notes)
	command.SetIn(strings.NewReader(c.document))
	args := append(strings.Fields(c.args), "--guest", "packet:tap0")
	if c.document != "" {
		args = append(args, "--vm", "-")
	}
	if err := command.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	_, err := f.resolve(command)
	if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
		t.Errorf("error %v, want %q", err, c.fault)
	}
	if lacks := (*missing.Error)(nil); c.err != nil && c.fault != "" && !errors.As(err, &lacks) {
		t.Errorf("%v is not a missing.Error", err)
	}
	if s := f.settings; s.MTU != c.mtu || s.MAC.String() != c.mac || s.PodMAC.String() != c.podMAC {
		t.Errorf("MTU %d, MAC %s, pod MAC %s; want %d, %s, %s", s.MTU, s.MAC, s.PodMAC, c.mtu, c.mac, c.podMAC)
	}
	if asked != c.asked || !strings.Contains(notes.String(), c.note) || c.note == "" && notes.Len() > 0 {
		t.Errorf("asked %t, notes %q", asked, notes.String())
	}
}

// TestHypervisorHelp checks that the commands are listed and describe --guest.
func TestHypervisorHelp(t *testing.T) {
	list, _, _ := do(t, "", "--help")
	for _, verb := range []string{"qemu-args", "libvirt-xml"} {
		if !strings.Contains(list, "\n  "+verb+" ") {
			t.Errorf("help does not list %s", verb)
		}
		if out, _, code := do(t, "", verb, "--help"); code != exitOK || !strings.Contains(out, "--guest KIND:ARG") {
			t.Errorf("%s --help: exit code %d: %s", verb, code, out)
		}
	}
}
