package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Virtual routers (VRRP) of Debian's keepalived, unpacked and not installed: the gateway on the wire, and one in the guest.

// A vrrp is the configuration of one keepalived.
type vrrp struct {
	device   string
	vmac     bool // send from, and answer with, the MAC of the virtual router
	priority int
	virtual  []string // virtual addresses, as arguments of `ip addr add`
}

// text returns the configuration file. Advertisements every 100 ms let a backup take over after a third of a second (RFC 5798, section 6.1).
func (v vrrp) text() string {
	vmac := ""
	if v.vmac {
		vmac = "use_vmac"
	}
	return fmt.Sprintf(`global_defs {
	vrrp_version 3
}
vrrp_instance gateway {
	state BACKUP
	interface %s
	virtual_router_id 42
	advert_int 0.1
	priority %d
	%s
	virtual_ipaddress {
		%s
	}
}
`, v.device, v.priority, vmac, strings.Join(v.virtual, "\n\t\t"))
}

// vrrpMAC is the MAC of the virtual router 42 (RFC 5798, section 7.3).
const vrrpMAC = "00:00:5e:00:01:2a"

// keepalived starts keepalived in a namespace.
func (n namespace) keepalived(v vrrp) *process {
	n.t.Helper()
	dir, usr := n.t.TempDir(), filepath.Join(unpacked(n.t), "usr")
	conf := write(n.t, filepath.Join(dir, "keepalived.conf"), v.text(), 0o644)
	return n.start("env", "LD_LIBRARY_PATH="+filepath.Join(usr, "lib/x86_64-linux-gnu"), filepath.Join(usr, "sbin/keepalived"),
		"--vrrp", "--dont-fork", "--log-console", "--log-detail", "--use-file", conf,
		"--pid", filepath.Join(dir, "pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid"))
}

const becameMaster = "Entering MASTER STATE"

// farAddress is the address of a host behind the gateway.
const farAddress = "192.0.2.8"

// routers replaces the node's address as the gateway by two routers that share it, and returns them and a host behind them:
//
//	pod ── cni0 ─┬─ router 1: 10.244.1.2, 192.0.2.2 ─┬─ far0 ── far: 192.0.2.8
//	             └─ router 2: 10.244.1.3, 192.0.2.3 ─┘
//	                both: 10.244.1.1, 192.0.2.1
func (l *lab) routers() (far namespace, routers [2]namespace) {
	l.t.Helper()
	far = newNamespace(l.t, l.node.name+"-far")
	l.node.batch("addr del "+nodeAddress+"/24 dev cni0", "link add far0 mtu 1450 type bridge", "link set far0 up",
		"link add vfar mtu 1450 type veth peer name eth0 mtu 1450 netns "+far.name, "link set vfar master far0 up")
	far.batch("link set eth0 up", "addr add "+farAddress+"/24 dev eth0", "route add default via 192.0.2.1")
	for i := range routers {
		r := newNamespace(l.t, fmt.Sprintf("%s-r%d", l.node.name, i+1))
		for device, bridge := range map[string]string{"eth0": "cni0", "eth1": "far0"} {
			end := fmt.Sprintf("%s-%d", bridge, i)
			l.node.batch(fmt.Sprintf("link add %s mtu 1450 type veth peer name %s mtu 1450 netns %s", end, device, r.name),
				"link set "+end+" master "+bridge+" up")
			r.batch("link set " + device + " up")
		}
		r.batch(fmt.Sprintf("addr add 10.244.1.%d/24 dev eth0", i+2), fmt.Sprintf("addr add 192.0.2.%d/24 dev eth1", i+2))
		r.must("sysctl", "-qw", "net.ipv4.ip_forward=1")
		routers[i] = r
	}
	return far, routers
}

// TestGatewayVRRP lets a second router take over the gateway's address while the guest has connections through it, in both directions. They
// go on at once: without the router's announcement, the switch would use the old MAC for half a minute.
func TestGatewayVRRP(t *testing.T) {
	for _, gateway := range []struct {
		name  string
		vmac  bool
		fails bool // the first router loses its links and is killed; otherwise it ends, and says so
	}{
		{name: "first router ends"},
		{name: "first router fails", fails: true},
		{name: "first router fails, virtual MAC", vmac: true, fails: true},
	} {
		t.Run(gateway.name, func(t *testing.T) {
			l := newLab(t)
			far, routers := l.routers()
			virtual := []string{nodeAddress + "/24 dev eth0", "192.0.2.1/24 dev eth1"}
			first := routers[0].keepalived(vrrp{"eth0", gateway.vmac, 200, virtual})
			first.awaitText(becameMaster)
			second := routers[1].keepalived(vrrp{"eth0", gateway.vmac, 100, virtual})
			second.awaitText("Entering BACKUP STATE")
			p := l.podswitch()
			l.leased()
			b := l.beatWith(far, farAddress)
			b.resumed()
			if gateway.fails {
				l.node.batch("link set cni0-0 down", "link set far0-0 down")
				_ = syscall.Kill(-first.cmd.Process.Pid, syscall.SIGKILL)
			} else {
				first.signal(syscall.SIGTERM)
			}
			second.awaitText(becameMaster)
			longest := b.resumed()
			t.Logf("no answer for %s", longest)
			if longest > 5*time.Second {
				t.Errorf("no answer for %s, want at most 5s", longest)
			}
			b.end()
			p.stop()
		})
	}
}

// TestGuestVRRP runs a virtual router in the guest, which sends advertisements from the pod address and from the virtual router's MAC. They
// leave the pod from its own MAC, and the guest still gets its frames at its own.
func TestGuestVRRP(t *testing.T) {
	l := newLab(t)
	p := l.attachVeth()
	l.guest.batch("link set tap0 up")
	l.udhcpc("tap0")
	l.awaitHolder("guest")
	mac := l.status().Lease.MAC
	b := l.beatWith(l.peer, peerAddress)
	sent := l.pod.capture("v0", "ip proto 112")
	left := l.node.capture("vpod", "ip proto 112")
	router := l.guest.keepalived(vrrp{"tap0", true, 100, []string{"10.244.1.100/32"}})
	router.awaitText(becameMaster)
	received := l.guest.capture("tap0", "dst host "+podAddress)
	b.resumed()
	for _, c := range []struct {
		what, mac string
		frames    [][]byte
		of        func(*layers.Ethernet) string
	}{
		{"source of an advertisement from the guest", vrrpMAC, sent(), sourceMAC},
		{"source of an advertisement on the wire", podMAC, left(), sourceMAC},
		{"destination of a frame to the guest", mac, received(), destinationMAC},
	} {
		if len(c.frames) < 3 {
			t.Errorf("%d frames to find the %s, want at least 3", len(c.frames), c.what)
		}
		for _, data := range c.frames {
			packet := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default)
			if got := c.of(packet.LinkLayer().(*layers.Ethernet)); got != c.mac {
				t.Fatalf("%s: %s, want %s", c.what, got, c.mac)
			}
		}
	}
	b.end()
	p.stop()
}

func sourceMAC(e *layers.Ethernet) string      { return e.SrcMAC.String() }
func destinationMAC(e *layers.Ethernet) string { return e.DstMAC.String() }
