package e2e

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// udhcpcScript applies the lease of busybox udhcpc as the scripts of distributions do. Option 121 replaces the router option (RFC 3442).
const udhcpcScript = `#!/bin/sh
case "$1" in
deconfig) ip -4 addr flush dev "$interface" ;;
bound|renew)
	ip addr replace "$ip/$mask" dev "$interface"
	[ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
	if [ -n "$staticroutes" ]; then
		set -- $staticroutes
		while [ -n "$1" ]; do
			if [ "$2" = 0.0.0.0 ]; then ip route replace "$1" dev "$interface"; else ip route replace "$1" via "$2" dev "$interface"; fi
			shift 2
		done
	else
		for r in $router; do ip route replace default via "$r" dev "$interface"; done
	fi
	: > "$RESOLV"
	[ -n "$search$domain" ] && echo "search ${search:-$domain}" >> "$RESOLV"
	for s in $dns; do echo "nameserver $s" >> "$RESOLV"; done
	;;
esac
`

// udhcpc gets a lease for a device of the guest and applies it. It returns the file that the script writes instead of resolv.conf.
func (l *lab) udhcpc(device string, args ...string) (resolv string) {
	l.t.Helper()
	need(l.t, "udhcpc")
	dir := l.t.TempDir()
	script, resolv := write(l.t, filepath.Join(dir, "script"), udhcpcScript, 0o755), filepath.Join(dir, "resolv.conf")
	l.guest.must(append([]string{"env", "RESOLV=" + resolv, "udhcpc", "-i", device, "-s", script, "-n", "-q", "-f", "-t", "10", "-T", "1",
		"-O", "staticroutes", "-O", "mtu", "-O", "search", "-O", "dns", "-O", "domain", "-x", "hostname:guest-1"}, args...)...)
	return resolv
}

// podResolv is the pod's resolv.conf: a name server of each IP version that the guest can reach itself, and one on the pod's loopback.
const podResolv = `search default.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
nameserver fd00:10:96::a
nameserver 127.0.0.53
`

// netnsFolder is locked while /etc/netns is made or removed.
var netnsFolder sync.Mutex

// withResolv gives the pod a resolv.conf; `ip netns exec` mounts it over /etc/resolv.conf.
func (l *lab) withResolv(content string) {
	l.t.Helper()
	dir := filepath.Join("/etc/netns", l.pod.name)
	netnsFolder.Lock()
	defer netnsFolder.Unlock()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		netnsFolder.Lock()
		defer netnsFolder.Unlock()
		os.RemoveAll(dir)
		os.Remove("/etc/netns") // fails unless it is empty: other programs may use it
	})
	write(l.t, filepath.Join(dir, "resolv.conf"), content, 0o644)
}

// isolated runs a client in the guest's namespace with its own writable /etc, and returns the directory with what the client writes there.
func (l *lab) isolated(command string) (etc string, p *process) {
	l.t.Helper()
	dir := l.t.TempDir()
	for _, d := range []string{"etc", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	mount := fmt.Sprintf(`set -e
mount --make-rprivate /
umount /etc/resolv.conf 2>/dev/null || true
mount -t overlay overlay -o lowerdir=/etc,upperdir=%[1]s/etc,workdir=%[1]s/work /etc
for d in /var/lib/dhcp /var/lib/dhcpcd /run/dhcpcd; do if [ -d $d ]; then mount -t tmpfs tmpfs $d; fi; done
exec %[2]s`, dir, command)
	return filepath.Join(dir, "etc"), l.guest.start("unshare", "-m", "sh", "-c", mount)
}

// A dhcpClient is a row of TestClients: how to start it in the guest for each IP version, nil where the client has none of it. The functions
// return the file with the client's name servers. A client with both starts once, for both.
type dhcpClient struct {
	name             string
	ipv4, ipv6, both func(*lab) (resolvConf string)
}

// dhcpClients are the clients of Debian, each with its own scripts.
var dhcpClients = []dhcpClient{
	{name: "udhcpc", ipv4: func(l *lab) string { return l.udhcpc("tap0") }},
	{name: "dhclient", ipv4: func(l *lab) string { return l.dhclient("-4") }, ipv6: func(l *lab) string { return l.dhclient("-6") }},
	{
		name: "dhcpcd",
		ipv4: func(l *lab) string { return l.dhcpcd("-4 -B -d --noipv4ll -o interface_mtu") },
		ipv6: func(l *lab) string { return l.dhcpcd("-6 -B -d -o dhcp6_name_servers,dhcp6_domain_search") },
	},
	{name: "systemd-networkd", both: (*lab).networkd},
	{name: "NetworkManager", both: func(l *lab) string { return filepath.Join(l.networkManager(nil), "etc/resolv.conf") }},
	{name: "WIDE dhcp6c", ipv6: (*lab).dhcp6c},
	{name: "Dibbler", ipv6: (*lab).dibbler},
}

// TestClients gets the address with each client, of each IP version that the client has.
func TestClients(t *testing.T) {
	rows := make([]clientRow, len(dhcpClients))
	for i, client := range dhcpClients {
		for _, run := range []struct {
			name   string
			lab    func(*testing.T) *lab
			attach func(*lab) *process
			start  func(*lab) string
		}{
			{"IPv4", newLab, (*lab).attachTap, client.ipv4},
			{"IPv6", newLab6, (*lab).attachTap, client.ipv6},
			{"both", newDualLab, (*lab).attachVeth, client.both},
		} {
			if run.start == nil {
				continue
			}
			t.Run(client.name+" "+run.name, func(t *testing.T) {
				t.Parallel() // a client waits for most of its time
				run.lab(t).testClient(run.attach, run.start, &rows[i])
			})
		}
	}
	t.Cleanup(func() { // after the clients
		if *updateDocs && !t.Failed() {
			writeTable(t, "dhcp.md", "| client | IPv4 | IPv6 |", clientTable(rows))
		}
	})
}

// A clientRow has the messages of a client for the table in docs/dhcp.md.
type clientRow struct{ ipv4, ipv6 string }

func clientTable(rows []clientRow) (lines []string) {
	for i, row := range rows {
		lines = append(lines, "| "+dhcpClients[i].name+" | "+cmp.Or(row.ipv4, "-")+" | "+cmp.Or(row.ipv6, "-")+" |")
	}
	return lines
}

// attachTap starts podswitch and plugs the guest in, with a link-local address that it can use.
func (l *lab) attachTap() *process {
	l.t.Helper()
	p := l.podswitch()
	l.plugGuest()
	l.guest.linkLocal("tap0")
	return p
}

// testClient checks the guest's configuration by a client, and writes what podswitch has logged of it to row.
func (l *lab) testClient(attach func(*lab) *process, start func(*lab) string, row *clientRow) {
	l.withResolv(podResolv)
	p := attach(l)
	resolv := start(l)
	for _, end := range l.ends {
		if end.pod == podAddress {
			l.expectGuest(resolv)
			p.awaitText("  ACK  ")
			row.ipv4 = messagesOf(p, "DISCOVER", "OFFER", "REQUEST", "ACK")
		} else {
			kind := l.expectGuest6(resolv)
			row.ipv6 = fmt.Sprintf("%s, with a DUID-%s", messagesOf(p, "SOLICIT", "ADVERTISE", "REQUEST", "REPLY"), kind)
		}
	}
	l.awaitHolder("guest")
	p.stop()
}

// messagesOf returns the kinds of DHCP messages in podswitch's log, of the names of one IP version, in the order of their first appearance. The
// second name is that of an offer; both versions have a REQUEST, which follows an offer.
func messagesOf(p *process, names ...string) string {
	var list []string
	for _, name := range dhcpMessages(p.text()) {
		isOther := name == "REQUEST" && !slices.Contains(list, names[1])
		if slices.Contains(names, name) && !slices.Contains(list, name) && !isOther {
			list = append(list, name)
		}
	}
	return strings.Join(list, " ")
}

func (l *lab) dhclient(version string) (resolv string) {
	l.t.Helper()
	need(l.t, "dhclient")
	etc, _ := l.isolated("dhclient " + version + " -d -v -lf /var/lib/dhcp/lease -pf /var/lib/dhcp/pid tap0")
	return filepath.Join(etc, "resolv.conf")
}

func (l *lab) dhcpcd(options string) (resolv string) {
	l.t.Helper()
	need(l.t, "dhcpcd")
	etc, _ := l.isolated("dhcpcd " + options + " tap0")
	return filepath.Join(etc, "resolv.conf")
}

// expectGuest checks how the client has configured the guest: address, routes, MTU, name servers and search list.
func (l *lab) expectGuest(resolv string) {
	l.t.Helper()
	await(l.t, "the guest's configuration", func() error {
		if got := l.guest.addresses("tap0"); !slices.Equal(got, []string{podAddress + "/24"}) {
			return fmt.Errorf("address %v", got)
		}
		for destination, via := range map[string]string{"default": nodeAddress, "10.244.0.0/16": nodeAddress, "10.244.1.0/24": ""} {
			if err := l.guest.hasRoute(destination, via); err != nil {
				return err
			}
		}
		text, err := os.ReadFile(resolv)
		if err != nil {
			return err
		}
		for _, want := range []string{"10.96.0.10", "169.254.75.10", "default.svc.cluster.local svc.cluster.local cluster.local"} {
			if !strings.Contains(strings.ReplaceAll(string(text), "local.", "local"), want) { // dhclient appends the root dot to names
				return fmt.Errorf("resolv.conf lacks %q: %s", want, text)
			}
		}
		var links []struct{ MTU int }
		l.guest.json(&links, "link", "show", "tap0")
		if links[0].MTU != podMTU {
			return fmt.Errorf("MTU %d", links[0].MTU)
		}
		return nil
	})
	l.guest.must("ping", "-c1", "-W2", peerAddress)
}

func (n namespace) hasRoute(destination, via string) error {
	var routes []struct{ Dst, Gateway string }
	n.json(&routes, "-4", "route", "show", "dev", "tap0")
	for _, r := range routes {
		if r.Dst == destination && r.Gateway == via {
			return nil
		}
	}
	return fmt.Errorf("no route to %s via %q in %v", destination, via, routes)
}

// expectGuest6 checks how the client has configured IPv6 in the guest: address, default route, name servers and search list. It returns the
// kind of the DUID in the lease.
func (l *lab) expectGuest6(resolv string) (kind string) {
	l.t.Helper()
	await(l.t, "the guest's IPv6 configuration", func() error {
		address := must(l.t, "ip", "-n", l.guest.name, "-6", "-o", "addr", "show", "dev", "tap0", "scope", "global", "-tentative")
		if !strings.Contains(address, " "+podAddress6+"/128 ") || strings.Count(address, "inet6") != 1 {
			return fmt.Errorf("address %q", address)
		}
		status := l.status().IPv6
		if routes := must(l.t, "ip", "-n", l.guest.name, "-6", "route", "show", "default"); !strings.Contains(routes, "via "+status.Router+" dev tap0") {
			return fmt.Errorf("default route %q", routes)
		}
		if status.Lease == nil || status.Lease.MAC != l.guest.mac("tap0") {
			return fmt.Errorf("status has the lease %+v", status.Lease)
		}
		kind = status.Lease.DUIDKind
		return l.expectNames6(resolv, status.Router)
	})
	l.guest.must("ping", "-c1", "-W2", peerAddress6)
	return kind
}

// expectNames6 checks the name servers that a client has written. With those of IPv4 there are more than the three of a resolv.conf, and the
// router's address is the last one.
func (l *lab) expectNames6(resolv, router string) error {
	text, err := os.ReadFile(resolv)
	if err != nil {
		return err
	}
	wanted := []string{"fd00:10:96::a", "default.svc.cluster.local", " svc.cluster.local", " cluster.local"}
	if len(l.ends) == 1 {
		wanted = append(wanted, router)
	}
	for _, want := range wanted {
		if !strings.Contains(string(text), want) {
			return fmt.Errorf("%s lacks %q: %s", resolv, want, text)
		}
	}
	return nil
}
