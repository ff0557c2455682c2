package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bootScript is the iPXE script that a card's ROM loads by HTTP and runs.
const bootScript = "#!ipxe\necho podswitch: this script came over the network\n"

// A netBoot is a virtual machine in a lab that boots from the ROM of its card.
type netBoot struct {
	*lab
	server    *process // the peer's HTTP server
	podswitch *process
	screen    *process // QEMU, whose output is the machine's screen
}

// TestNetworkBoot boots machines without disk and kernel from the ROM of their cards: the ROM gets the pod address, and loads the script
// that bootFileName in the VM document names. All machines boot at once, because a ROM waits for IPv6 routers for most of its twenty
// seconds.
func TestNetworkBoot(t *testing.T) {
	need(t, "qemu-system-x86_64", "busybox")
	cards, boots := readCards(t), map[string]*netBoot{}
	for _, c := range cards {
		if c.missing(t) == "" {
			boots[c.model] = startNetBoot(t, c.model)
		}
	}
	for _, c := range cards {
		t.Run(c.model, func(t *testing.T) {
			if lacks := c.missing(t); lacks != "" {
				t.Skip(lacks)
			}
			boots[c.model].test(t)
		})
	}
}

func startNetBoot(t *testing.T, model string) *netBoot {
	t.Helper()
	b := &netBoot{lab: newLab(t)}
	b.pod.batch("tuntap add tap0 mode tap", "link set tap0 mtu 1450")
	www := t.TempDir()
	write(t, filepath.Join(www, "script.ipxe"), bootScript, 0o644)
	b.server = b.peer.start("busybox", "httpd", "-f", "-vv", "-p", "8000", "-h", www)
	b.podswitch = b.lab.podswitch("--guest", "packet:tap0", "--vm",
		document(t, model, ", dhcpOptions: {bootFileName: 'http://10.244.1.8:8000/script.ipxe'}"))
	b.screen = b.pod.start("kit/pxe-run", "--model", model, "--mac", guestMAC)
	return b
}

func (b *netBoot) test(t *testing.T) {
	b.within(t)
	b.server.t, b.podswitch.t, b.screen.t = t, t, t
	b.podswitch.awaitBoot("ACK")
	b.awaitHolder("guest")
	if s := b.status(); s.Lease == nil || s.Lease.MAC != guestMAC {
		t.Errorf("status has the lease %+v, want one of %s", s.Lease, guestMAC)
	}
	b.server.awaitBoot("url:/script.ipxe")
	if !strings.Contains(b.server.text(), podAddress) {
		t.Errorf("the script was not fetched by %s:\n%s", podAddress, b.server.text())
	}
	b.screen.awaitBoot("\npodswitch: this script came over the network")
	b.podswitch.stop()
}

// awaitBoot is awaitText with bootTime, and shows the output when it fails.
func (p *process) awaitBoot(text string) {
	p.t.Helper()
	deadline := time.After(bootTime)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !strings.Contains(p.text(), text) {
		select {
		case <-ticker.C:
		case <-p.done:
			p.t.Fatalf("%s has ended (%v) without %q:\n%s", p.name, p.err, text, p.text())
		case <-deadline:
			p.t.Fatalf("waited %s for %q from %s:\n%s", bootTime, text, p.name, p.text())
		}
	}
}
