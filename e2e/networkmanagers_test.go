package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sandboxed runs a shell script in the guest's namespace with processes of its own, which end with it, and with /etc, /run
// and /var/lib of its own; dir has them as etc, run and lib. The files, by their paths below dir, are there before. What the
// folder usr has, unless it is empty, is laid over /usr. /sys is read-only: by that systemd-networkd and NetworkManager know that
// no udev will tell them of devices.
func (l *lab) sandboxed(usr string, files map[string]string, script string) (dir string, p *process) {
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
	mounts := "set -e\nmount --make-rprivate /\n"
	if usr != "" {
		mounts += "mount -t overlay overlay -o lowerdir=" + usr + ":/usr /usr\n"
	}
	mounts += fmt.Sprintf(`umount /etc/resolv.conf 2>/dev/null || true
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
	dir, _ := l.sandboxed("", map[string]string{"etc/systemd/network/10-tap0.network": networkdUnit}, "SYSTEMD_LOG_LEVEL=debug "+daemon)
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
	networkManagerUUID = "5bd1a4ab-0d9c-4b1c-9f6e-7f2d1c1f6a01" // any

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
uuid=` + networkManagerUUID + `
type=ethernet
interface-name=tap0
[ipv4]
method=auto
[ipv6]
method=disabled
`
	// busConf is a message bus for one user, at the place of the system's; Debian's own wants a user that may not be there.
	busConf = `<busconfig>
<listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
`
)

// networkManagerLease is where NetworkManager keeps the address that it had, below the folder of sandboxed.
const networkManagerLease = "lib/NetworkManager/internal-" + networkManagerUUID + "-tap0.lease"

// networkManager is Debian's NetworkManager, unpacked and not installed, with a message bus of its own. Files are there before, by
// their paths below dir.
func (l *lab) networkManager(files map[string]string) (dir string) {
	l.t.Helper()
	all := map[string]string{
		"etc/bus.conf":                                             busConf,
		"etc/NetworkManager/NetworkManager.conf":                   networkManagerConf,
		"etc/NetworkManager/system-connections/guest.nmconnection": networkManagerConnection,
	}
	maps.Copy(all, files)
	dir, _ = l.sandboxed(filepath.Join(unpacked(l.t), "usr"), all,
		"/usr/bin/dbus-daemon --fork --config-file=/etc/bus.conf\n/usr/sbin/NetworkManager --debug --log-level=INFO\n")
	return dir
}

// attachVeth starts podswitch with one end of a veth, and gives the guest the other: NetworkManager does not take somebody else's
// tap for an Ethernet card.
func (l *lab) attachVeth() *process {
	l.t.Helper()
	l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450 up")
	p := l.podswitch("--guest", "packet:v0")
	l.pod.batch("link set tap0 netns " + l.guest.name)
	return p
}

// TestNetworkManagers gets the address with the clients inside systemd-networkd and NetworkManager.
func TestNetworkManagers(t *testing.T) {
	for _, client := range []struct {
		name  string
		start func(*lab) (resolvConf string)
	}{
		{"systemd-networkd", (*lab).networkd},
		{"NetworkManager", func(l *lab) string { return filepath.Join(l.networkManager(nil), "etc/resolv.conf") }},
	} {
		t.Run(client.name, func(t *testing.T) {
			l := newLab(t)
			l.withResolv(podResolv)
			p := l.attachVeth()
			resolv := client.start(l)
			l.awaitHolder("guest")
			l.expectGuest(resolv)
			p.awaitText("ACK")
			p.stop()
		})
	}
}

// TestNetworkManagerAgain starts NetworkManager with the address that it had: it asks for that one without a DISCOVER, and gets it
// if it is the pod's. If it is not, it is refused, and takes the pod's.
func TestNetworkManagerAgain(t *testing.T) {
	for _, again := range []struct{ name, address, messages string }{
		{"pod address", podAddress, "REQUEST ACK"},
		{"address of another network", "192.168.1.99", "REQUEST NAK DISCOVER OFFER REQUEST ACK"},
	} {
		t.Run(again.name, func(t *testing.T) {
			l := newLab(t)
			l.withResolv(podResolv)
			p := l.attachVeth()
			dir := l.networkManager(map[string]string{networkManagerLease: "ADDRESS=" + again.address + "\n"})
			l.awaitHolder("guest")
			l.expectGuest(filepath.Join(dir, "etc/resolv.conf"))
			await(t, "NetworkManager's note of the address", func() error {
				text, err := os.ReadFile(filepath.Join(dir, networkManagerLease))
				if err == nil && !strings.Contains(string(text), "ADDRESS="+podAddress+"\n") {
					err = fmt.Errorf("it is %q", text)
				}
				return err
			})
			if got := strings.Join(dhcpMessages(p.text()), " "); got != again.messages {
				t.Errorf("podswitch says %s, want %s", got, again.messages)
			}
			p.stop()
		})
	}
}

// dhcpMessages are the messages that podswitch says it received and sent, in their order.
func dhcpMessages(text string) (messages []string) {
	for line := range strings.Lines(text) {
		_, said, _ := strings.Cut(line, "  info  ")
		if name, _, ok := strings.Cut(said, "  {"); ok && name == strings.ToUpper(name) {
			messages = append(messages, name)
		}
	}
	return messages
}
