package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/e2e/kit/guest"
)

// bootTime bounds the boot of a guest, which takes three seconds on an idle machine and a minute on a busy one.
const bootTime = 3 * time.Minute

// guestMAC is the guest's MAC in the tests' VM documents.
const guestMAC = "02:00:00:00:00:07"

// guestTask is a shell script that the guest runs: it fetches a file and serves one of %d bytes.
const guestTask = `
card=/sys/class/net/eth0
echo "guest: card driver=$(basename "$(readlink $card/device/driver)") mtu=$(cat $card/mtu)"
echo "guest: fetched $(timeout 60 wget -q -O - http://10.244.1.8:8000/file | sha256sum)"
mkdir /www && head -c %d /dev/urandom > /www/file && echo "guest: serves $(sha256sum < /www/file)"
httpd -p 80 -h /www
`

// guestTaskIPv6 is a shell script that the guest runs after guestTask. With each client of IPv6 it fetches the file again, and then waits for a
// connection before it ends the client.
const guestTaskIPv6 = `
for client in %s; do
	/lease6 none
	/lease6 $client fd00:10:244:1::7 || exit
	echo "guest: ipv6 $client fetched $(timeout 60 wget -q -O - http://[fd00:10:244:1::8]:8000/file | sha256sum)"
	echo "served by $client" | timeout 60 nc -l -p 1000
done
`

// A card is a row of the kit's table of models.
type card struct {
	model  string // name in the VM document
	device string // name in QEMU
}

// fileSize is the size in bytes of the files that a guest with the card fetches and serves: the emulated card moves one in about a second.
func (c card) fileSize() int {
	switch c.model {
	case "virtio":
		return 10_000_000
	case "ne2k_pci": // moves every byte through an I/O port
		return 500_000
	default:
		return 4_000_000
	}
}

// clientsIPv6 returns the clients of IPv6 that a guest with the card runs, one after the other (kit/guest/lease6). Static stands for the
// kernel alone, whose default route is of a router advertisement. The clients after dhclient read advertisements themselves, and make the
// kernel ignore them.
func (c card) clientsIPv6() []string {
	if c.model == "virtio" || c.model == "e1000" {
		return append([]string{"static", "dhclient", "dhcpcd"}, daemons...)
	}
	return []string{"dhclient"}
}

// daemons are the clients that get both addresses of a guest, and duids the kinds of their DUIDs. The clients before them have others.
var (
	daemons = []string{"systemd-networkd", "NetworkManager"}
	duids   = []string{"EN", "UUID"}
)

// missing returns a message if this machine's QEMU lacks the card, and "" otherwise.
func (c card) missing(t *testing.T) string {
	t.Helper()
	if strings.Contains(must(t, "qemu-system-x86_64", "-device", "help"), fmt.Sprintf("name %q,", c.device)) {
		return ""
	}
	version := strings.Fields(must(t, "qemu-system-x86_64", "--version"))[3] // QEMU emulator version 7.2.22 (...
	return fmt.Sprintf("needs a QEMU with the device %s; this is %s, which lacks it", c.device, version)
}

// readCards reads the kit's table of models.
func readCards(t *testing.T) []card {
	t.Helper()
	table, err := os.ReadFile("kit/models")
	if err != nil {
		t.Fatal(err)
	}
	var cards []card
	for line := range strings.Lines(string(table)) {
		if words := strings.Fields(line); len(words) >= 3 && words[0] != "#" {
			cards = append(cards, card{words[0], words[1]})
		}
	}
	return cards
}

// document writes a VM document whose interface has the model and guestMAC. further has more fields in YAML's flow form, each with a
// comma in front.
func document(t *testing.T, model, further string) (file string) {
	t.Helper()
	text := fmt.Sprintf(`kind: VM
spec:
  devices:
    interfaces:
    - {name: red, model: %s, macAddress: '%s', bridge: {delegateIp: true}%s}
  networks:
  - {name: red, pod: {}}
`, model, guestMAC, further)
	return write(t, filepath.Join(t.TempDir(), "vm.yaml"), text, 0o644)
}

// TestVirtualMachine boots a guest with each model of card, on a tap that QEMU has open: the guest gets the pod address by DHCP, fetches
// a file, and serves one; then it uses the pod's IPv6 address, with one client after the other.
func TestVirtualMachine(t *testing.T) {
	need(t, "qemu-system-x86_64", "busybox", "curl", "cpio", "ethtool")
	cards := readCards(t)
	rows := make([]string, len(cards))
	for i, c := range cards {
		t.Run(c.model, func(t *testing.T) {
			t.Parallel() // a guest waits, and uses one processor
			result, seen := c.missing(t), cardReport{"-", "-", "-", "-"}
			if result == "" {
				seen = newDualLab(t).testCard(c)
			}
			rows[i] = seen.row(c, result)
			if result != "" {
				t.Skip(result)
			}
		})
	}
	t.Cleanup(func() { // after the cards
		if *updateDocs && !t.Failed() {
			writeTable(t, "guests.md", "| model | QEMU device | driver in the guest | MTU | large segments | IPv6 | result |", rows)
		}
	})
}

// A cardReport has a card's columns of the table in docs/guests.md.
type cardReport struct{ driver, mtu, segments, ipv6 string }

// row returns the row of a card that this machine lacks, with the reason, or that has passed.
func (r cardReport) row(c card, lacks string) string {
	result := "passed"
	if lacks != "" {
		result = "skipped: " + lacks
	}
	return "| " + strings.Join([]string{c.model, c.device, r.driver, r.mtu, r.segments, r.ipv6, result}, " | ") + " |"
}

func (l *lab) testCard(c card) cardReport {
	t := l.t
	l.pod.batch("tuntap add tap0 mode tap", "link set tap0 mtu 1450")
	served := l.serveFile(c.fileSize())
	clients := c.clientsIPv6()
	hasDaemons := slices.Contains(clients, daemons[0])
	if hasDaemons {
		need(t, networkdProgram)
		unpacked(t) // has the other one
	}
	p := l.podswitch("--guest", "packet:tap0", "--vm", document(t, c.model, ""))
	task := fmt.Sprintf(guestTask, c.fileSize()) + fmt.Sprintf(guestTaskIPv6, strings.Join(clients, " "))
	vm, lease := l.boot(guest.Config{Model: c.model, MAC: guestMAC, Task: task, Daemons: hasDaemons})
	l.awaitHolder("guest")
	if s := l.status(); s.Lease == nil || s.Lease.MAC != guestMAC {
		t.Errorf("status has the lease %+v, want one of %s", s.Lease, guestMAC)
	}
	for _, client := range clients {
		l.usesIPv6(vm, client, served)
		if i := slices.Index(daemons, client); i >= 0 {
			l.expectDaemon(vm, i, p)
		}
	}
	l.awaitTask(vm)
	l.expectFetched(vm, served)
	l.fetchesFrom(vm, podAddress)
	l.peer.must("ping", "-c2", "-i0.2", "-W2", podAddress)
	seen := cardReport{l.driver(vm, podMTU), "by DHCP: " + lease.MTU, l.segments(c.model == "virtio"), strings.Join(clients, ", ")}
	if c.model == "virtio" { // QEMU's end of the tap is the same for all cards
		vm.Stop()
		l.awaitHolder("switch")
		l.peer.must("ping", "-c1", "-W2", podAddress)
	}
	p.stop()
	return seen
}

// expectDaemon checks that both leases of podswitch, which p is, are those of the daemon with the index i. The guest had no IPv4 address
// when the daemon started.
func (l *lab) expectDaemon(vm *guest.Guest, i int, p *process) {
	l.t.Helper()
	l.awaitLine(vm, fmt.Sprintf("guest: lease4 client=%s %s/24 router=%s", daemons[i], podAddress, nodeAddress))
	if got := strings.Count(strings.Join(dhcpMessages(p.text()), " "), "ACK"); got < 2+i { // udhcpc had the first one
		l.t.Errorf("%s: podswitch logs %d ACKs, want %d", daemons[i], got, 2+i)
	}
	s := l.status()
	if s.Lease == nil || s.Lease.MAC != guestMAC || s.IPv6.Lease == nil || s.IPv6.Lease.DUIDKind != duids[i] {
		l.t.Errorf("%s: status has the leases %+v and %+v, want those of %s with a DUID-%s", daemons[i], s.Lease, s.IPv6.Lease, guestMAC, duids[i])
	}
}

// usesIPv6 checks a round of guestTaskIPv6.
func (l *lab) usesIPv6(vm *guest.Guest, client, served string) {
	l.t.Helper()
	prefix := "guest: ipv6 " + client + " fetched "
	if line := l.awaitLine(vm, prefix); !strings.HasPrefix(line, prefix+served) {
		l.t.Errorf("%q, want the sum %s", line, served)
	}
	if s := l.status(); s.IPv6 == nil || s.IPv6.Holder != "guest" || client != "static" && (s.IPv6.Lease == nil || s.IPv6.Lease.MAC != guestMAC) {
		l.t.Errorf("%s: status has %+v, want the guest with a lease", client, s.IPv6)
	}
	l.peer.must("ping", "-c2", "-i0.2", "-W2", podAddress6)
	l.peer.must("ping", "-c1", "-W2", podAddress)
	l.fetchesFrom(vm, "["+podAddress6+"]")
	await(l.t, "the guest to answer a connection by IPv6", func() error {
		out, errs, _ := l.peer.run("busybox", "nc", "-w", "5", podAddress6, "1000")
		if out != "served by "+client+"\n" {
			return fmt.Errorf("%q %s", out, errs)
		}
		return nil
	})
}

// driver returns the driver that the guest has for its card, and checks the card's MTU.
func (l *lab) driver(vm *guest.Guest, mtu int) (name string) {
	l.t.Helper()
	var got int
	line := l.awaitLine(vm, "guest: card ")
	if _, err := fmt.Sscanf(line, "guest: card driver=%s mtu=%d", &name, &got); err != nil || got != mtu {
		l.t.Errorf("%q (%v), want MTU %d", line, err, mtu)
	}
	return name
}

// segments checks whether the guest receives segments larger than the MTU: QEMU sets the tap's offloads to those that the guest's driver
// accepts.
func (l *lab) segments(want bool) string {
	l.t.Helper()
	features := l.pod.must("ethtool", "-k", "tap0")
	words := map[bool]string{true: "on", false: "off"}
	if !strings.Contains(features, "\ntcp-segmentation-offload: "+words[want]) {
		l.t.Errorf("the tap's TCP segmentation offload is not %s:\n%s", words[want], features)
	}
	return map[bool]string{true: "yes", false: "no"}[want]
}

// TestVirtualMachineMTU boots a guest that ignores the MTU of its lease: its TCP connections work nevertheless.
func TestVirtualMachineMTU(t *testing.T) {
	need(t, "qemu-system-x86_64", "busybox", "curl", "cpio")
	l := newLab(t)
	l.pod.batch("tuntap add tap0 mode tap", "link set tap0 mtu 1500")
	served := l.serveFile(1_000_000)
	p := l.podswitch("--guest", "packet:tap0", "--vm", document(t, "rtl8139", ""))
	task := "ip link set eth0 mtu 1500\n" + fmt.Sprintf(guestTask, 1_000_000)
	vm, _ := l.boot(guest.Config{Model: "rtl8139", MAC: guestMAC, Task: task})
	l.awaitTask(vm)
	l.driver(vm, 1500)
	l.expectFetched(vm, served)
	l.fetchesFrom(vm, podAddress)
	p.stop()
}

// keptTask is a shell script that the guest runs: it connects while its kernel may choose only a kept port as the source, and then while the
// kept port is reserved. The lines have the client's exit code and output; timeout(1) would make it 143.
const keptTask = `
ports=/proc/sys/net/ipv4/ip_local_
ask() { text=$(timeout 60 nc 10.244.1.8 5001 2>&1 </dev/null) && status=0 || status=$?; echo "guest: $1 status=$status $text"; }
echo 40123 40123 > ${ports}port_range
ask kept
echo 40122 40123 > ${ports}port_range
echo 40123 > ${ports}reserved_ports
ask reserved
`

// TestGuestFromKeptPort checks what a program in the guest gets when its connection has a kept port as its source: an error at once, and no
// timeout. With the port reserved, as the warning of podswitch advises, the connection succeeds.
func TestGuestFromKeptPort(t *testing.T) {
	need(t, "qemu-system-x86_64", "busybox", "cpio")
	l := newLab(t)
	l.pod.batch("tuntap add tap0 mode tap", "link set tap0 mtu 1450")
	l.peer.serves("serve-text", ":5001", "hello from the peer")
	p := l.podswitch("--guest", "packet:tap0", "--vm", document(t, "virtio", ""), "--keep", "tcp/40123")
	p.awaitText("kept tcp/40123 may collide with the guest's own connections")
	vm, _ := l.boot(guest.Config{Model: "virtio", MAC: guestMAC, Task: keptTask})
	l.awaitTask(vm)
	for prefix, want := range map[string]string{
		"guest: kept ":     "status=1 nc: can't connect to remote host (10.244.1.8): No route to host",
		"guest: reserved ": "status=0 hello from the peer",
	} {
		if line := l.awaitLine(vm, prefix); line != prefix+want {
			t.Errorf("%q, want %q", line, prefix+want)
		}
	}
	if l.guestDrops()["kept-port"] == 0 {
		t.Error("podswitch counts no packet of the guest from the kept port")
	}
	p.stop()
}

// boot starts a guest on the pod's tap0 that keeps running, and waits until it has the pod address.
func (l *lab) boot(cfg guest.Config) (*guest.Guest, guest.Lease) {
	l.t.Helper()
	cfg.Namespace, cfg.Stay = l.pod.name, true
	vm, err := guest.Start(cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(vm.Stop)
	ctx, cancel := context.WithTimeout(l.t.Context(), bootTime)
	defer cancel()
	lease, err := vm.Lease(ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	if lease.Address.String() != podAddress+"/24" || lease.MTU != fmt.Sprint(podMTU) {
		l.t.Fatalf("lease %+v, want %s/24 with MTU %d", lease, podAddress, podMTU)
	}
	return vm, lease
}

// awaitLine waits until a guest has printed a line that begins with prefix.
func (l *lab) awaitLine(vm *guest.Guest, prefix string) (line string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), bootTime)
	defer cancel()
	line, err := vm.Await(ctx, prefix)
	if err != nil {
		l.t.Fatal(err)
	}
	return line
}

// awaitTask waits until a guest has finished its task, and checks that the task succeeded.
func (l *lab) awaitTask(vm *guest.Guest) {
	l.t.Helper()
	if line := l.awaitLine(vm, "guest: task done "); line != "guest: task done status=0" {
		l.t.Fatalf("%q, want status 0; console:\n%s", line, vm.Console())
	}
}

// expectFetched checks the SHA-256 of the file that a guest has fetched.
func (l *lab) expectFetched(vm *guest.Guest, served string) {
	l.t.Helper()
	if line := l.awaitLine(vm, "guest: fetched "); !strings.HasPrefix(line, "guest: fetched "+served) {
		l.t.Errorf("%q, want the sum %s", line, served)
	}
}

// serveFile makes the peer serve a file of size bytes as http://10.244.1.8:8000/file, and returns its SHA-256.
func (l *lab) serveFile(size int) string {
	l.t.Helper()
	www := l.t.TempDir()
	var content strings.Builder
	for p, i := newPattern(1), uint64(0); content.Len() < size; i++ {
		block := p.next(i)
		content.Write(block[:min(len(block), size-content.Len())])
	}
	file := write(l.t, filepath.Join(www, "file"), content.String(), 0o644)
	l.peer.start("busybox", "httpd", "-f", "-p", "8000", "-h", www)
	return sum(l.t, file)
}

// fetchesFrom makes the peer fetch the file that a guest serves at a host of a URL, and compares its SHA-256 with the one that the guest has
// printed.
func (l *lab) fetchesFrom(vm *guest.Guest, host string) {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "file")
	l.peer.must("curl", "-sS", "--fail", "--max-time", "50", "-o", file, "http://"+host+"/file")
	if fetched, serves := sum(l.t, file), l.awaitLine(vm, "guest: serves "); !strings.HasPrefix(serves, "guest: serves "+fetched) {
		l.t.Errorf("the file from the guest has the SHA-256 %s; the guest printed %q", fetched, serves)
	}
}

// sum returns the SHA-256 of a file.
func sum(t *testing.T, file string) string {
	t.Helper()
	return strings.Fields(must(t, "sha256sum", file))[0]
}
