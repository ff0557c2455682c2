package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheIPAMPluginRenewsTheLeaseOfThePod checks that the CNI plugin dhcp renews the lease of the pod address while the guest has the address:
// at the end of the lease the plugin would set eth0 down.
func TestTheIPAMPluginRenewsTheLeaseOfThePod(t *testing.T) {
	for _, address := range []string{"move", "mute"} {
		t.Run(address, func(t *testing.T) {
			need(t, "busybox")
			folder, err := tools()
			if err != nil {
				t.Fatalf("kit/tools: %v", err)
			}
			l := newLab(t)
			l.serveDHCP()
			daemon := l.leaseAddress(filepath.Join(folder, "dhcp"))
			l.podswitch("--guest", "tap:tap0", "--address", address)
			l.leased()
			before := strings.Count(daemon.text(), "lease renewed")
			await(t, "renewals beyond the end of the first lease", func() error {
				text := daemon.text()
				if strings.Contains(text, "DOWN") || strings.Count(text, "lease renewed") < before+2 {
					return errors.New(text)
				}
				return nil
			})
			l.guest.must("ping", "-c1", "-W2", nodeAddress)
			l.awaitHolder("guest")
		})
	}
}

// leaseSeconds is the lease of the pod address, which the plugin renews at its half.
const leaseSeconds = 8

// serveDHCP starts a DHCP server on the node, with the pod address for the pod.
func (l *lab) serveDHCP() {
	l.t.Helper()
	conf := fmt.Sprintf("interface cni0\nstart 10.244.1.7\nend 10.244.1.7\nmin_lease 1\nopt lease %d\nopt subnet 255.255.255.0\nopt router 10.244.1.1\n"+
		"static_lease %s 10.244.1.7\npidfile %s/udhcpd.pid\nlease_file %s/udhcpd.leases\n", leaseSeconds, podMAC, l.stateDir, l.stateDir)
	path := filepath.Join(l.stateDir, "udhcpd.conf")
	if err := errors.Join(os.WriteFile(path, []byte(conf), 0o600), os.WriteFile(l.stateDir+"/udhcpd.leases", nil, 0o600)); err != nil {
		l.t.Fatal(err)
	}
	l.node.start("busybox", "udhcpd", "-f", path).awaitText("started")
}

// leaseAddress starts the daemon of the plugin, which gets and then renews a lease for the pod address.
func (l *lab) leaseAddress(plugin string) (daemon *process) {
	l.t.Helper()
	socket := filepath.Join(l.stateDir, "dhcp.sock")
	daemon = start(l.t, plugin, "daemon", "-socketpath", socket)
	await(l.t, "the plugin's socket", func() error { _, err := os.Stat(socket); return err })
	add := exec.Command(plugin)
	add.Env = append(os.Environ(), "CNI_COMMAND=ADD", "CNI_CONTAINERID=pod", "CNI_NETNS=/run/netns/"+l.pod.name, "CNI_IFNAME=eth0", "CNI_PATH="+filepath.Dir(plugin))
	add.Stdin = strings.NewReader(fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "lan", "type": "bridge", "ipam": {"type": "dhcp", "daemonSocketPath": %q}}`, socket))
	out, err := add.CombinedOutput()
	var result struct{ IPs []struct{ Address string } }
	if err == nil {
		err = json.Unmarshal(out, &result)
	}
	if err != nil || len(result.IPs) != 1 || result.IPs[0].Address != podAddress+"/24" {
		l.t.Fatalf("the plugin: %v\n%s", err, out)
	}
	return daemon
}
