package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sandboxed runs a shell script in the guest's network namespace, in a new process namespace that ends with it, and with its own /etc, /run
// and /var/lib; dir has them as etc, run and lib. files are written before, at their paths below dir. If usr is not empty, that directory
// is mounted over /usr as an overlay. /sys is read-only, from which systemd-networkd and NetworkManager conclude that there is no udev.
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
			mode = 0o600 // NetworkManager ignores files with other modes
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

// networkdUnit does not ask for DHCPv6: the M flag of router advertisements starts that client.
const networkdUnit = `[Match]
Name=tap0
[Network]
DHCP=ipv4
[DHCPv4]
UseDomains=yes
UseMTU=yes
[DHCPv6]
UseDomains=yes
`

// networkd runs /lib/systemd/systemd-networkd without the rest of systemd. It does not write /etc/resolv.conf, but for each device a state file
// with name servers and domains, which networkd returns.
func (l *lab) networkd() (state string) {
	l.t.Helper()
	const daemon = "/lib/systemd/systemd-networkd"
	need(l.t, daemon)
	dir, _ := l.sandboxed("", map[string]string{"etc/systemd/network/10-tap0.network": networkdUnit}, "SYSTEMD_LOG_LEVEL=debug "+daemon)
	index := strings.TrimSpace(l.guest.must("cat", "/sys/class/net/tap0/ifindex"))
	return filepath.Join(dir, "run/systemd/netif/links", index)
}

const (
	networkManagerUUID = "5bd1a4ab-0d9c-4b1c-9f6e-7f2d1c1f6a01" // arbitrary

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
	// busConf configures a message bus at the path of the system bus. Debian's configuration requires a user that may not exist.
	busConf = `<busconfig>
<listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
`
)

// dualConnection replaces networkManagerConnection by one with IPv6.
var dualConnection = map[string]string{
	"etc/NetworkManager/system-connections/guest.nmconnection": strings.Replace(networkManagerConnection, "method=disabled", "method=auto", 1),
}

// networkManagerLease is the file with the last address of NetworkManager, below the directory of sandboxed.
const networkManagerLease = "lib/NetworkManager/internal-" + networkManagerUUID + "-tap0.lease"

// networkManager runs Debian's NetworkManager, unpacked and not installed, with its own message bus. files are written before, at their
// paths below dir.
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

// attachVeth starts podswitch with one end of a veth, and moves the other end to the guest: NetworkManager does not manage a tap that it
// has not made.
func (l *lab) attachVeth() *process {
	l.t.Helper()
	l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450 up")
	p := l.podswitch("--guest", "packet:v0")
	l.pod.batch("link set tap0 netns " + l.guest.name)
	return p
}

// TestNetworkManagerAgain starts NetworkManager with a lease from before: it requests that address without a DISCOVER. It gets an ACK for the
// pod address, and a NAK for any other; then it gets the pod address.
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
			await(t, "NetworkManager's lease file to have the pod address", func() error {
				text, err := os.ReadFile(filepath.Join(dir, networkManagerLease))
				if err == nil && !strings.Contains(string(text), "ADDRESS="+podAddress+"\n") {
					err = fmt.Errorf("it is %q", text)
				}
				return err
			})
			if got := strings.Join(dhcpMessages(p.text()), " "); got != again.messages {
				t.Errorf("podswitch logs %s, want %s", got, again.messages)
			}
			p.stop()
		})
	}
}

// dhcpMessages returns the DHCP messages in the log of podswitch, in their order.
func dhcpMessages(text string) (messages []string) {
	for line := range strings.Lines(text) {
		_, event, _ := strings.Cut(line, "  info  ")
		if name, _, ok := strings.Cut(event, "  {"); ok && name == strings.ToUpper(name) {
			messages = append(messages, name)
		}
	}
	return messages
}
