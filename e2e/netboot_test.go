package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Addresses of the TFTP and HTTP servers of a netBoot, behind the gateway. iPXE with a unique local address sends to such addresses only.
const (
	bootServer  = "192.0.2.8"
	bootServer6 = "fd00:192:0:2::8"
)

// greeting is what a boot client prints at the end: it is in the last file that the client fetches.
const greeting = "podswitch: this came over the network"

// bootFiles are the files of the servers, beside the boot loaders of Debian's packages.
var bootFiles = map[string]string{
	"script.ipxe":    "#!ipxe\necho " + greeting + "\n",
	"greeting":       greeting + "\n",
	"grub/grub.cfg":  "net_bootp\ncat (tftp," + bootServer + ")/greeting\n",
	"uboot.env":      "greeting=" + greeting + "\n",
	"greeting.forth": "\\ a Forth program\ncr .( " + greeting + ") cr\n",
}

// A bootClient is a machine that TestNetworkBoot boots.
type bootClient struct {
	name, firmware, model string // firmware and model as in kit/netboot-run
	ipv6                  bool   // the pod has an IPv6 address alone
	options               string // dhcpOptions of the VM document, in YAML's flow form
	leases                int    // boot stages that get the address by DHCP
	tftp, http            string // the last file that the client fetches by TFTP and HTTP; empty: none
	lacks                 string // why this machine cannot boot it
}

// loaders are the boot clients that are not a card's ROM, the quick ones first. Each stage of a chain sends its own DHCP request.
var loaders = []bootClient{
	{name: "U-Boot", firmware: "u-boot", leases: 1, tftp: "uboot.env", options: "bootFileName: uboot.env"},
	{name: "SLOF", firmware: "slof", leases: 1, tftp: "greeting.forth", options: "bootFileName: greeting.forth"},
	{
		name: "UEFI PXE, then iPXE", firmware: "uefi-pxe", leases: 2, tftp: "snponly.efi", http: "script.ipxe",
		options: "bootFileName: snponly.efi, clientBootFiles: [{userClass: iPXE, bootFileName: 'http://192.0.2.8/script.ipxe'}]",
	},
	{
		name: "UEFI HTTP Boot, then iPXE", firmware: "uefi-http", leases: 2, http: "script.ipxe",
		options: "bootFileName: 'http://192.0.2.8/snponly.efi', clientBootFiles: [{userClass: iPXE, bootFileName: 'http://192.0.2.8/script.ipxe'}]",
	},
	{name: "UEFI PXE, then GRUB", firmware: "uefi-pxe", leases: 2, tftp: "greeting", options: "bootFileName: grubnetx64.efi.signed"},
	{
		name: "UEFI HTTP Boot, then iPXE", firmware: "uefi-ipv6", ipv6: true, leases: 2, http: "script.ipxe",
		options: "bootFileName: 'http://[fd00:192:0:2::8]/snponly.efi', " +
			"clientBootFiles: [{userClass: iPXE, bootFileName: 'http://[fd00:192:0:2::8]/script.ipxe'}]",
	},
	{
		name: "UEFI PXE, then iPXE", firmware: "uefi-ipv6", ipv6: true, leases: 2, tftp: "snponly.efi", http: "script.ipxe",
		options: "bootFileName: snponly.efi, clientBootFiles: [{userClass: iPXE, bootFileName: 'http://[fd00:192:0:2::8]/script.ipxe'}]",
	},
}

// roms returns the boot clients that are ROMs of cards.
func roms(t *testing.T) (clients []bootClient) {
	t.Helper()
	for _, c := range readCards(t) {
		clients = append(clients, bootClient{
			name: "iPXE, ROM of " + c.model, firmware: "rom", model: c.model, leases: 1, http: "script.ipxe", lacks: c.missing(t),
			options: "bootFileName: 'http://192.0.2.8/script.ipxe'",
		})
		if c.model == "virtio" || c.model == "e1000" {
			rom := clients[len(clients)-1]
			rom.ipv6, rom.options = true, "bootFileName: 'http://[fd00:192:0:2::8]/script.ipxe'"
			clients = append(clients, rom)
		}
	}
	return clients
}

// A netBoot is a virtual machine in a lab that boots from the network.
type netBoot struct {
	*lab
	bootClient
	tftpServer, httpServer *process
	podswitch              *process
	screen                 *process // QEMU, whose output is the machine's screen
}

// TestNetworkBoot boots machines without disk and kernel: from the ROM of each model of card, and from firmware and boot loaders of other
// machines. Each stage gets the pod address, and the last one prints what it has fetched. The gateway is outside the pod's subnet, and the
// servers are behind it; none of the clients requests routes (option 121). A pod with IPv6 has that alone, and its gateway is in the subnet.
// All machines boot at once, because they wait for most of their time, iPXE and UEFI for IPv6 routers.
func TestNetworkBoot(t *testing.T) {
	need(t, "qemu-system-x86_64", "qemu-system-aarch64", "qemu-system-ppc64", "busybox", "dnsmasq")
	clients, boots := slices.Concat(loaders, roms(t)), map[string]*netBoot{}
	for _, c := range clients {
		if c.lacks == "" {
			boots[c.title()] = startNetBoot(t, c)
		}
	}
	for _, c := range clients {
		t.Run(c.title(), func(t *testing.T) {
			if c.lacks != "" {
				t.Skip(c.lacks)
			}
			boots[c.title()].test(t)
		})
	}
	if *updateDocs && !t.Failed() {
		writeBetween(t, "guests.md", "<!-- boot -->\n", "<!-- boot end -->\n", "| boot client | IPv4 | IPv6 |", bootRows(clients))
	}
}

// title is the name of the client's subtest.
func (c bootClient) title() string {
	if c.ipv6 {
		return c.name + ", IPv6"
	}
	return c.name
}

// bootRows returns the rows of the table in docs/guests.md, after all clients have booted: what each has fetched with either IP version.
func bootRows(clients []bootClient) (rows []string) {
	cells := map[string][2]string{}
	var names []string
	for _, c := range clients {
		row, known := cells[c.name]
		if !known {
			names, row = append(names, c.name), [2]string{"not run", "not run"}
		}
		row[map[bool]int{false: 0, true: 1}[c.ipv6]] = c.fetches()
		cells[c.name] = row
	}
	for _, name := range names {
		rows = append(rows, "| "+name+" | "+cells[name][0]+" | "+cells[name][1]+" |")
	}
	return rows
}

// fetches returns the protocols by which the client fetches files, for the table.
func (c bootClient) fetches() string {
	switch {
	case c.lacks != "":
		return "skipped: " + c.lacks
	case c.tftp != "" && c.http != "":
		return "TFTP, HTTP"
	case c.tftp != "":
		return "TFTP"
	}
	return "HTTP"
}

func startNetBoot(t *testing.T, c bootClient) *netBoot {
	t.Helper()
	b, server := &netBoot{bootClient: c}, bootServer
	if c.ipv6 {
		b.lab, server = newLab6(t), bootServer6
	} else {
		b.lab = newLab(t)
		b.withGatewayOutside()
	}
	b.node.batch("addr add " + server + " dev lo") // without a prefix length the address has all bits
	b.pod.batch("tuntap add tap0 mode tap", "link set tap0 mtu 1450")
	root := bootRoot(t)
	b.tftpServer = b.node.start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file", "--port=0", "--user=root", "--log-facility=-",
		"--enable-tftp", "--tftp-root="+root)
	b.tftpServer.awaitText("TFTP root is")
	b.httpServer = b.node.start("busybox", "httpd", "-f", "-vv", "-p", "80", "-h", root)
	model := c.model
	if model == "" {
		model = "virtio"
	}
	b.podswitch = b.lab.podswitch("--guest", "packet:tap0", "--vm",
		document(t, model, fmt.Sprintf(", dhcpOptions: {tftpServerName: '%s', %s}", server, c.options)))
	b.screen = b.pod.start("kit/netboot-run", "--firmware", c.firmware, "--model", model, "--mac", guestMAC)
	return b
}

// bootRoot makes the folder of the servers.
func bootRoot(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "grub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range bootFiles {
		write(t, filepath.Join(root, name), content, 0o644)
	}
	lib := filepath.Join(unpacked(t), "usr/lib")
	for _, loader := range []string{"ipxe/snponly.efi", "grub/x86_64-efi-signed/grubnetx64.efi.signed"} {
		if err := os.Symlink(filepath.Join(lib, loader), filepath.Join(root, filepath.Base(loader))); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func (b *netBoot) test(t *testing.T) {
	b.within(t)
	b.tftpServer.t, b.httpServer.t, b.podswitch.t, b.screen.t = t, t, t, t
	message, address := "ACK", podAddress
	if b.ipv6 {
		message, address = "REPLY", podAddress6
	}
	b.podswitch.awaitBoot("  info  " + message + "  ")
	if mac := b.leaseMAC(); mac != guestMAC {
		t.Errorf("status has a lease of %q, want one of %s", mac, guestMAC)
	}
	b.screen.awaitBoot(greeting)
	if acks := strings.Count(b.podswitch.text(), "  info  "+message+"  "); acks < b.leases {
		t.Errorf("the client got the address %d times, want %d, once for each stage", acks, b.leases)
	}
	if b.tftp != "" {
		b.tftpServer.awaitText("/" + b.tftp + " to " + address)
	}
	if b.http != "" {
		b.httpServer.awaitText("url:/" + b.http)
	}
	b.screen.signal(syscall.SIGKILL) // a boot loader at its prompt takes a whole processor
	b.screen.wait()
	b.podswitch.stop()
}

// leaseMAC returns the MAC of the lease in status, or "" without one.
func (b *netBoot) leaseMAC() string {
	switch s := b.status(); {
	case !b.ipv6 && s.Lease != nil:
		return s.Lease.MAC
	case b.ipv6 && s.IPv6 != nil && s.IPv6.Lease != nil:
		return s.IPv6.Lease.MAC
	}
	return ""
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
