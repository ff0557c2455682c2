package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// podResolv is the pod's resolv.conf: one name server that the guest can reach itself, and one on the pod's loopback.
const podResolv = `search default.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
nameserver 127.0.0.53
`

// withResolv gives the pod a resolv.conf; `ip netns exec` mounts it over /etc/resolv.conf.
func (l *lab) withResolv(content string) {
	l.t.Helper()
	dir := filepath.Join("/etc/netns", l.pod.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
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

// TestClients gets the address with each of Debian's DHCP clients and its own scripts.
func TestClients(t *testing.T) {
	for _, client := range []struct {
		name  string
		start func(l *lab) (resolvConf string)
	}{
		{"udhcpc", func(l *lab) string { return l.udhcpc("tap0") }},
		{"dhclient", func(l *lab) string {
			need(l.t, "dhclient")
			etc, _ := l.isolated("dhclient -4 -d -v -lf /var/lib/dhcp/lease -pf /var/lib/dhcp/pid tap0")
			return filepath.Join(etc, "resolv.conf")
		}},
		{"dhcpcd", func(l *lab) string {
			need(l.t, "dhcpcd")
			etc, _ := l.isolated("dhcpcd -4 -B -d --noipv4ll -o interface_mtu tap0")
			return filepath.Join(etc, "resolv.conf")
		}},
	} {
		t.Run(client.name, func(t *testing.T) {
			l := newLab(t)
			l.withResolv(podResolv)
			p := l.podswitch()
			l.plugGuest()
			resolv := client.start(l)
			l.awaitHolder("guest")
			l.expectGuest(resolv)
			p.awaitText("ACK")
			p.stop()
		})
	}
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
		for _, want := range []string{"nameserver 10.96.0.10", "nameserver 169.254.75.10", "default.svc.cluster.local svc.cluster.local cluster.local"} {
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
