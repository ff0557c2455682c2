package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWrongAddress starts dhclient with a lease of another network: it requests that address, gets a NAK, and then the pod address.
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
	p.awaitText("requested 192.168.1.99: the pod address is 10.244.1.7")
	client.awaitText("bound to " + podAddress)
	l.awaitHolder("guest")
	l.expectGuest(filepath.Join(etc, "resolv.conf"))
	p.stop()
}

// TestRenewal checks that a bound client can renew by unicast: the lease is extended, and the guest remains the holder.
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
			t.Errorf("podswitch logs %s %d times, want %d\n%s", message, got, want, text)
		}
	}
	if got := l.status().Holder; got != "guest" {
		t.Errorf("holder %s", got)
	}
	p.stop()
}

// withGatewayOutside gives the pod an address with the prefix length 32, and a gateway outside that subnet.
func (l *lab) withGatewayOutside() {
	l.t.Helper()
	l.node.batch("addr add 169.254.1.1/32 dev cni0")
	l.pod.batch("addr del 10.244.1.7/24 dev eth0", "addr add 10.244.1.7/32 dev eth0", "route add 169.254.1.1 dev eth0",
		"route add default via 169.254.1.1")
}

// TestNoClasslessRoutes checks that a client which requests no routes reaches hosts inside and outside its subnet, in a pod whose address
// has the prefix length 32.
func TestNoClasslessRoutes(t *testing.T) {
	need(t, "udhcpc")
	l := newLab(t)
	l.withGatewayOutside()
	p := l.podswitch()
	l.plugGuest()
	dir := t.TempDir()
	script := write(t, filepath.Join(dir, "script"), udhcpcScript, 0o755)
	l.guest.must("env", "RESOLV="+filepath.Join(dir, "resolv.conf"), "udhcpc", "-i", "tap0", "-s", script, "-n", "-q", "-f", "-t", "10", "-T", "1",
		"-o", "-O", "subnet", "-O", "router")
	l.awaitHolder("guest")
	if got := l.guest.addresses("tap0"); len(got) != 1 || got[0] != podAddress+"/24" {
		t.Errorf("the guest has %q, want %s/24", got, podAddress)
	}
	for _, host := range []string{nodeAddress, "169.254.1.1"} {
		l.guest.must("ping", "-c1", "-W2", host)
	}
	p.stop()
}

// TestDHCPOptions checks that a client gets the DHCP options of the VM document that it requests.
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
	script := write(t, filepath.Join(dir, "script"), "#!/bin/sh\nenv > \"$ENVIRONMENT.$1\"\n", 0o755)
	environment := filepath.Join(dir, "environment")
	l.guest.must("env", "ENVIRONMENT="+environment, "udhcpc", "-i", "tap0", "-s", script, "-n", "-q", "-f", "-t", "10", "-T", "1",
		"-O", "ntpsrv", "-O", "tftp", "-O", "bootfile", "-O", "0xe0")
	text, err := os.ReadFile(environment + ".bound")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"siaddr=10.244.1.8", "boot_file=boot/guest.ipxe", "bootfile=boot/guest.ipxe", "tftp=10.244.1.8",
		"ntpsrv=10.244.1.8 10.244.1.1", "opt224=626c7565", "opt230=7261636b2037"} {
		if !strings.Contains("\n"+string(text), "\n"+want+"\n") {
			t.Errorf("udhcpc has no %q in its environment:\n%s", want, text)
		}
	}
	if strings.Contains(p.text(), "dhcpOptions") {
		t.Errorf("podswitch warns about the options:\n%s", p.text())
	}
	p.stop()
}
