package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// sandboxed runs a shell script in the guest's namespace with processes of its own, which end with it, and with /etc, /run
// and /var/lib of its own; dir has them as etc, run and lib. The files, by their paths below dir, are there before. /sys is
// read-only: by that systemd-networkd and NetworkManager know that no udev will tell them of devices.
func (l *lab) sandboxed(files map[string]string, script string) (dir string, p *process) {
	l.t.Helper()
	dir = l.t.TempDir()
	for _, d := range []string{"etc", "work", "run/dbus", "run/systemd", "lib/dbus", "lib/NetworkManager"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			l.t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, ".nmconnection") {
			mode = 0o600 // NetworkManager reads no other
		}
		write(l.t, path, content, mode)
	}
	mounts := fmt.Sprintf(`set -e
mount --make-rprivate /
umount /etc/resolv.conf 2>/dev/null || true
mount -t overlay overlay -o lowerdir=/etc,upperdir=%[1]s/etc,workdir=%[1]s/work /etc
mount --bind %[1]s/lib /var/lib
mount -o remount,bind,ro /sys
mount --bind %[1]s/run /run
`, dir)
	return dir, l.guest.start("unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", mounts+script)
}

const networkdUnit = `[Match]
Name=tap0
[Network]
DHCP=ipv4
LinkLocalAddressing=no
[DHCPv4]
UseDomains=yes
UseMTU=yes
`

// networkd is /lib/systemd/systemd-networkd by itself. It leaves /etc/resolv.conf to others and writes down what to put there,
// which is returned as such a file.
func (l *lab) networkd() (resolv string) {
	l.t.Helper()
	const daemon = "/lib/systemd/systemd-networkd"
	need(l.t, daemon)
	dir, _ := l.sandboxed(map[string]string{"etc/systemd/network/10-tap0.network": networkdUnit}, "SYSTEMD_LOG_LEVEL=debug "+daemon)
	resolv = filepath.Join(dir, "resolv.conf")
	await(l.t, "systemd-networkd's state", func() error {
		text, err := os.ReadFile(filepath.Join(dir, "run/systemd/netif/state"))
		if err != nil {
			return err
		}
		var servers, domains string
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch name {
			case "DNS":
				servers = strings.ReplaceAll("nameserver "+value, " ", "\nnameserver ")
			case "DOMAINS":
				domains = "search " + value
			}
		}
		if servers == "" || domains == "" {
			return fmt.Errorf("no names yet: %s", text)
		}
		write(l.t, resolv, domains+servers+"\n", 0o644)
		return nil
	})
	return resolv
}

const (
	networkManagerConf = `[main]
plugins=keyfile
dhcp=internal
dns=default
rc-manager=file
auth-polkit=false
no-auto-default=*
`
	networkManagerConnection = `[connection]
id=guest
type=ethernet
interface-name=tap0
[ipv4]
method=auto
[ipv6]
method=disabled
`
)

// networkManager is NetworkManager with a message bus of its own. Setup does not install it, because it may take over the
// machine's own network.
func (l *lab) networkManager() (resolv string) {
	l.t.Helper()
	for _, tool := range []string{"NetworkManager", "dbus-daemon"} {
		if _, err := exec.LookPath(tool); err != nil {
			l.t.Skipf("needs %s: apt-get install --no-install-recommends network-manager dbus", tool)
		}
	}
	dir, _ := l.sandboxed(map[string]string{
		"etc/NetworkManager/NetworkManager.conf":                   networkManagerConf,
		"etc/NetworkManager/system-connections/guest.nmconnection": networkManagerConnection,
	}, "dbus-daemon --system --nopidfile\nNetworkManager --no-daemon --log-level=INFO\n")
	return filepath.Join(dir, "etc", "resolv.conf")
}

// TestNetworkManagers gets the address with the clients inside systemd-networkd and NetworkManager. The guest's device is a
// veth: NetworkManager does not take somebody else's tap for an Ethernet card.
func TestNetworkManagers(t *testing.T) {
	for _, client := range []struct {
		name  string
		start func(*lab) (resolvConf string)
	}{{"systemd-networkd", (*lab).networkd}, {"NetworkManager", (*lab).networkManager}} {
		t.Run(client.name, func(t *testing.T) {
			l := newLab(t)
			l.withResolv(podResolv)
			l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450 up")
			p := l.podswitch("--guest", "packet:v0")
			l.pod.batch("link set tap0 netns " + l.guest.name)
			resolv := client.start(l)
			l.awaitHolder("guest")
			l.expectGuest(resolv)
			p.awaitText("ACK")
			p.stop()
		})
	}
}

// TestWrongAddress starts dhclient with a lease of another network: it asks for that address, is refused, and takes the
// pod's.
func TestWrongAddress(t *testing.T) {
	need(t, "dhclient")
	l := newLab(t)
	l.withResolv(podResolv)
	p := l.podswitch()
	l.plugGuest()
	leases := write(t, filepath.Join(t.TempDir(), "leases"), `lease {
  interface "tap0";
  fixed-address 192.168.1.99;
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 86400;
  option dhcp-server-identifier 192.168.1.1;
  renew 2 2037/01/06 00:00:00;
  rebind 2 2037/01/06 10:00:00;
  expire 2 2037/01/06 12:00:00;
}
`, 0o644)
	etc, client := l.isolated("dhclient -4 -d -v -lf " + leases + " -pf /var/lib/dhcp/pid tap0")
	client.awaitText("DHCPREQUEST for 192.168.1.99")
	client.awaitText("DHCPNAK from")
	p.awaitText("asks for 192.168.1.99, the pod address is 10.244.1.7")
	client.awaitText("bound to " + podAddress)
	l.awaitHolder("guest")
	l.expectGuest(filepath.Join(etc, "resolv.conf"))
	p.stop()
}

// TestRenewal has a bound client renew by unicast: the lease is extended, and the address stays where it is all the time.
func TestRenewal(t *testing.T) {
	need(t, "udhcpc")
	l := newLab(t)
	p := l.podswitch()
	l.plugGuest()
	dir := t.TempDir()
	script := write(t, filepath.Join(dir, "script"), udhcpcScript, 0o755)
	client := l.guest.start("env", "RESOLV="+filepath.Join(dir, "resolv.conf"), "udhcpc", "-i", "tap0", "-s", script, "-f", "-T", "1",
		"-O", "staticroutes", "-O", "mtu")
	client.awaitText("obtained")
	l.awaitHolder("guest")
	first := l.status().Lease.Expires
	wire := l.guest.start("tcpdump", "-i", "tap0", "-n", "-l", "udp", "port", "67")
	wire.awaitText("listening on")
	client.signal(syscall.SIGUSR1)
	wire.awaitText(podAddress + ".68 > 169.254.75.10.67: BOOTP/DHCP, Request")
	wire.awaitText("169.254.75.10.67 > " + podAddress + ".68: BOOTP/DHCP, Reply")
	await(t, "the renewal", func() error {
		if s := l.status(); s.Lease == nil || s.Lease.Expires == first {
			return fmt.Errorf("lease %+v, at first until %s", s.Lease, first)
		}
		return nil
	})
	text := p.text()
	for message, want := range map[string]int{"DISCOVER": 1, "OFFER": 1, "REQUEST": 2, "ACK": 2, "holder": 2} {
		if got := strings.Count(text, "  info  "+message+"  "); got != want {
			t.Errorf("podswitch says %s %d times, want %d\n%s", message, got, want, text)
		}
	}
	if got := l.status().Holder; got != "guest" {
		t.Errorf("holder %s", got)
	}
	p.stop()
}

// TestDHCPOptions checks that what the VM document says arrives at a client that asks for it.
func TestDHCPOptions(t *testing.T) {
	need(t, "udhcpc")
	l := newLab(t)
	dir := t.TempDir()
	document := write(t, filepath.Join(dir, "vm.yaml"), `kind: VM
spec:
  devices:
    interfaces:
    - name: red
      bridge: {delegateIp: true}
      dhcpOptions:
        bootFileName: boot/guest.ipxe
        tftpServerName: 10.244.1.8
        ntpServers: [10.244.1.8, 10.244.1.1]
        privateOptions: [{option: 230, value: rack 7}, {option: 224, value: blue}]
  networks:
  - name: red
    pod: {}
`, 0o644)
	p := l.podswitch("--vm", document)
	l.plugGuest()
	script := write(t, filepath.Join(dir, "script"), "#!/bin/sh\nenv > \"$TOLD.$1\"\n", 0o755)
	told := filepath.Join(dir, "told")
	l.guest.must("env", "TOLD="+told, "udhcpc", "-i", "tap0", "-s", script, "-n", "-q", "-f", "-t", "10", "-T", "1",
		"-O", "ntpsrv", "-O", "tftp", "-O", "bootfile", "-O", "0xe0")
	text, err := os.ReadFile(told + ".bound")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"siaddr=10.244.1.8", "boot_file=boot/guest.ipxe", "bootfile=boot/guest.ipxe", "tftp=10.244.1.8",
		"ntpsrv=10.244.1.8 10.244.1.1", "opt224=626c7565", "opt230=7261636b2037"} {
		if !strings.Contains("\n"+string(text), "\n"+want+"\n") {
			t.Errorf("udhcpc was not told %q:\n%s", want, text)
		}
	}
	if strings.Contains(p.text(), "dhcpOptions") {
		t.Errorf("podswitch warns of the options:\n%s", p.text())
	}
	p.stop()
}
