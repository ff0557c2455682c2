package guest

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const bootTime = 3 * time.Minute // a boot takes three seconds on an idle machine, and far longer on a busy one

func TestParseLease(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, line string
		want       Lease
		fault      string
	}{
		{
			name: "all options",
			line: "guest: lease 10.244.1.7/24 router=10.244.1.1 routes=10.244.0.0/16>10.244.1.1,0.0.0.0/0>10.244.1.1 mtu=1450 " +
				"dns=10.96.0.10,10.96.0.11 search=default.svc,svc domain=svc hostname=web-0 server=10.244.1.1 seconds=3600",
			want: Lease{
				Address: netip.MustParsePrefix("10.244.1.7/24"), Router: "10.244.1.1",
				Routes: []string{"10.244.0.0/16>10.244.1.1", "0.0.0.0/0>10.244.1.1"}, MTU: "1450",
				DNS: []string{"10.96.0.10", "10.96.0.11"}, Search: []string{"default.svc", "svc"}, Domain: "svc",
				Hostname: "web-0", Server: "10.244.1.1", Seconds: "3600",
			},
		},
		{
			name: "no options",
			line: "guest: lease 10.0.0.2/32 router= routes= mtu= dns= search= domain= hostname= server= seconds=",
			want: Lease{Address: netip.MustParsePrefix("10.0.0.2/32")},
		},
		{name: "no address", line: "guest: lease ", fault: "no address"},
		{name: "not an address", line: "guest: lease router=10.0.0.1", fault: "router=10.0.0.1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseLease(test.line)
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Fatalf("error %v, want one with %q", err, test.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestGuest boots a guest on a kernel bridge, behind which another namespace serves DHCP and a page. It tests the guest without
// podswitch.
func TestGuest(t *testing.T) {
	network := newNetwork(t)
	vm := start(t, Config{Namespace: network.near, Stay: true, Task: `
ip route
cat /etc/resolv.conf
echo "mtu $(cat /sys/class/net/eth0/mtu), host name $(hostname)"
wget -qO- http://10.244.1.1/page | sha256sum
mkdir /www && echo "from the guest" >/www/page
httpd -p 80 -h /www
exit 7`})
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()

	lease, err := vm.Lease(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := Lease{
		Address: netip.MustParsePrefix("10.244.1.7/24"), Router: "10.244.1.99",
		Routes: []string{"192.0.2.0/24>0.0.0.0", "10.244.0.0/16>10.244.1.1", "0.0.0.0/0>10.244.1.1"}, MTU: "1450",
		DNS: []string{"10.96.0.10", "10.96.0.11"}, Search: []string{"default.svc", "svc"}, Domain: "cluster.local",
		Hostname: "web-0", Server: "10.244.1.1", Seconds: "600",
	}
	if diff := cmp.Diff(want, lease, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if line, err := vm.Await(ctx, "guest: task done "); err != nil || line != "guest: task done status=7" {
		t.Fatalf("line %q, error %v; want status 7", line, err)
	}
	for _, line := range []string{
		"default via 10.244.1.1 dev eth0 \n", // option 121 replaces the router of option 3
		"10.244.0.0/16 via 10.244.1.1 dev eth0 \n",
		"192.0.2.0/24 dev eth0 scope link \n",
		"search default.svc svc\nnameserver 10.96.0.10\nnameserver 10.96.0.11\n",
		"mtu 1450, host name web-0\n",
		network.pageSum,
	} {
		if !strings.Contains(vm.Console(), line) {
			t.Errorf("no %q in the console:\n%s", line, vm.Console())
		}
	}
	page := run(t, "ip", "netns", "exec", network.far, "curl", "-fsS", "--max-time", "10", "http://10.244.1.7/page")
	if page != "from the guest\n" {
		t.Errorf("the guest served %q", page)
	}
}

// TestModels boots a guest of every model that this machine's QEMU has.
func TestModels(t *testing.T) {
	network := newNetwork(t)
	devices := run(t, "qemu-system-x86_64", "-device", "help")
	for _, model := range models(t) {
		t.Run(model.name, func(t *testing.T) {
			if !strings.Contains(devices, fmt.Sprintf("name %q,", model.device)) {
				t.Skipf("needs a QEMU with the device %s", model.device)
			}
			vm := start(t, Config{
				Namespace: network.near, Model: model.name, MAC: "02:00:00:00:00:07",
				Task: "wget -qO- http://10.244.1.1/page | sha256sum",
			})
			ctx, cancel := context.WithTimeout(t.Context(), bootTime)
			defer cancel()
			if err := vm.Wait(ctx); err != nil {
				t.Fatal(err)
			}
			for _, line := range []string{
				"guest: up model=" + model.name + " mac=02:00:00:00:00:07 ", "guest: lease 10.244.1.7/24 ", network.pageSum,
				"guest: task done status=0",
			} {
				if !strings.Contains(vm.Console(), line) {
					t.Errorf("no %q in the console:\n%s", line, vm.Console())
				}
			}
		})
	}
}

// TestGuestFaults checks the errors for a guest that cannot start.
func TestGuestFaults(t *testing.T) {
	network := newNetwork(t)
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"model", Config{Namespace: network.near, Model: "ne3k"}, "no model 'ne3k'; there are: virtio e1000"},
		{"tap", Config{Namespace: network.near, Tap: "tap9"}, "no tap 'tap9' in this network namespace"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			vm := start(t, test.cfg)
			ctx, cancel := context.WithTimeout(t.Context(), bootTime)
			defer cancel()
			if _, err := vm.Lease(ctx); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Lease: error %v, want one with %q", err, test.want)
			}
			if err := vm.Wait(ctx); err == nil {
				t.Error("Wait: no error")
			}
		})
	}
}

// start boots a guest and stops it at the end of the test.
func start(t *testing.T, cfg Config) *Guest {
	t.Helper()
	vm, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(vm.Stop)
	return vm
}

type model struct{ name, device string }

// models reads the table of models.
func models(t *testing.T) []model {
	t.Helper()
	table, err := os.ReadFile(filepath.Join("..", "models"))
	if err != nil {
		t.Fatal(err)
	}
	var all []model
	for line := range strings.Lines(string(table)) {
		if words := strings.Fields(line); len(words) >= 3 && words[0] != "#" {
			all = append(all, model{name: words[0], device: words[1]})
		}
	}
	return all
}

// A network has two namespaces: near has tap0 on a bridge; far is 10.244.1.1 behind the bridge, with a DHCP server that offers
// 10.244.1.7 and an HTTP server with a page.
type network struct {
	near, far string
	pageSum   string // SHA-256 in hexadecimal digits
}

func newNetwork(t *testing.T) network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces and taps")
	}
	for _, tool := range []string{"ip", "busybox", "qemu-system-x86_64", "curl", "cpio"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: run e2e/kit/setup", tool)
		}
	}
	n := network{near: fmt.Sprintf("guest-near-%d", os.Getpid()), far: fmt.Sprintf("guest-far-%d", os.Getpid())}
	for _, name := range []string{n.near, n.far} {
		run(t, "ip", "netns", "add", name)
		t.Cleanup(func() { run(t, "ip", "netns", "del", name) })
	}
	for _, line := range []string{
		"-n " + n.near + " link add br0 type bridge",
		"-n " + n.near + " link set br0 up",
		"-n " + n.near + " link add port0 type veth peer eth0 netns " + n.far,
		"-n " + n.near + " link set port0 master br0 up",
		"-n " + n.near + " tuntap add tap0 mode tap",
		"-n " + n.near + " link set tap0 master br0 up",
		"-n " + n.far + " addr add 10.244.1.1/24 dev eth0",
		"-n " + n.far + " link set eth0 up",
	} {
		run(t, "ip", strings.Fields(line)...)
	}
	n.serve(t)
	return n
}

// serve starts the two servers of the far namespace.
func (n *network) serve(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	page := filepath.Join(folder, "page")
	if err := os.WriteFile(page, bytes.Repeat([]byte("0123456789abcdef"), 1<<14), 0o644); err != nil {
		t.Fatal(err)
	}
	n.pageSum = strings.Fields(run(t, "sha256sum", page))[0]
	config := filepath.Join(folder, "udhcpd.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, dhcpServer, folder, folder), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "leases"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	background(t, "ip", "netns", "exec", n.far, "busybox", "udhcpd", "-f", config)
	background(t, "ip", "netns", "exec", n.far, "busybox", "httpd", "-f", "-p", "80", "-h", folder)
}

const dhcpServer = `
start 10.244.1.7
end 10.244.1.7
interface eth0
lease_file %s/leases
pidfile %s/pid
opt subnet 255.255.255.0
opt router 10.244.1.99
opt staticroutes 192.0.2.0/24 0.0.0.0, 10.244.0.0/16 10.244.1.1, 0.0.0.0/0 10.244.1.1
opt mtu 1450
opt dns 10.96.0.10 10.96.0.11
opt search default.svc svc
opt domain cluster.local
opt hostname web-0
opt lease 600
`

// run runs a command to its end and returns its stdout.
func run(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	var stdout, stderr strings.Builder
	command := exec.Command(name, arguments...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(arguments, " "), err, stderr.String())
	}
	return stdout.String()
}

// background starts a command and kills it at the end of the test.
func background(t *testing.T, name string, arguments ...string) {
	t.Helper()
	command := exec.Command(name, arguments...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // fails only if it has ended meanwhile
		_ = command.Wait()         // returns that it was killed
	})
}
