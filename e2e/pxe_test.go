package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bootScript is what a card's ROM loads and runs. It comes by HTTP, so the ROM has used the lease for TCP by then.
const bootScript = "#!ipxe\necho podswitch: this script came over the network\n"

// A netBoot is a machine that boots from its card's ROM, in a lab of its own.
type netBoot struct {
	*lab
	server    *process // the peer's HTTP server
	podswitch *process
	screen    *process // QEMU, and what the ROM shows
}

// TestNetworkBoot boots machines without disk and kernel from the ROM of their cards: the ROM gets the pod address, and loads the
// script that the VM document's bootFileName names. All boot at once, because a ROM spends most of its twenty seconds with
// waiting for IPv6 routers.
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
		t.Errorf("the script was fetched by another than %s:\n%s", podAddress, b.server.text())
	}
	b.screen.awaitBoot("\npodswitch: this script came over the network")
	b.podswitch.stop()
}

// awaitBoot is awaitText for what comes when a machine boots.
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
