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

// kitFile returns a file of kit/guest/etc, which the daemons have in a real guest, for a guest whose device is tap0.
func kitFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("kit/guest/etc", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "eth0", "tap0")
}

const networkdProgram = "/lib/systemd/systemd-networkd"

// networkd runs systemd-networkd without the rest of systemd. It does not write /etc/resolv.conf, but for each device a state file
// with name servers and domains, which networkd returns.
func (l *lab) networkd() (state string) {
	l.t.Helper()
	need(l.t, networkdProgram)
	files := map[string]string{"etc/systemd/network/10-tap0.network": kitFile(l.t, "systemd/network/10-eth0.network")}
	dir, _ := l.sandboxed("", files, "SYSTEMD_LOG_LEVEL=debug "+networkdProgram)
	index := strings.TrimSpace(l.guest.must("cat", "/sys/class/net/tap0/ifindex"))
	return filepath.Join(dir, "run/systemd/netif/links", index)
}

// networkManagerConnection is the file of NetworkManager's connection, below etc.
const networkManagerConnection = "NetworkManager/system-connections/guest.nmconnection"

// networkManagerLease is the file with the last address of NetworkManager, below the directory of sandboxed.
const networkManagerLease = "lib/NetworkManager/internal-5bd1a4ab-0d9c-4b1c-9f6e-7f2d1c1f6a01-tap0.lease"

// networkManager runs Debian's NetworkManager, unpacked and not installed, with its own message bus. files are written before, at their
// paths below dir.
func (l *lab) networkManager(files map[string]string) (dir string) {
	l.t.Helper()
	all := map[string]string{}
	for _, name := range []string{"bus.conf", "NetworkManager/NetworkManager.conf", networkManagerConnection} {
		all["etc/"+name] = kitFile(l.t, name)
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
			dir := l.networkManager(map[string]string{
				networkManagerLease:               "ADDRESS=" + again.address + "\n",
				"etc/" + networkManagerConnection: strings.Replace(kitFile(t, networkManagerConnection), "[ipv6]\nmethod=auto", "[ipv6]\nmethod=disabled", 1),
			})
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
