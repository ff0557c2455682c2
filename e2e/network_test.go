package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNetworkChanges changes the pod's network while podswitch runs, as network plugins do: the guest's traffic follows, status and DHCP have the new
// values, and the pod has them after the end.
func TestNetworkChanges(t *testing.T) {
	for _, address := range []string{"move", "mute"} {
		t.Run("run, "+address, func(t *testing.T) {
			l := newLab(t)
			p := l.podswitch("--address", address)
			l.leased()
			l.changesNetwork(address == "mute")
			p.stop()
			l.wantsChangedNetwork(address == "mute")
		})
	}
	t.Run("keeper", func(t *testing.T) {
		s := newSplit(t, "--peer-pid-namespace", "any")
		p := s.startSwitch()
		s.leased()
		s.changesNetwork(false)
		p.stop()
		s.keeper.stop()
		s.wantsChangedNetwork(false)
	})
}

const changedMAC = "02:00:00:00:00:77"

func (l *lab) changesNetwork(mute bool) {
	l.t.Helper()
	l.lowersMTU()
	l.addsRoutes()
	l.pod.batch("link set eth0 address " + changedMAC) // before the next one: the kernel drops all neighbours of the link
	l.awaitPing(peerAddress)
	await(l.t, "the peer to know the new MAC", func() error {
		if out := must(l.t, "ip", "-n", l.peer.name, "neigh", "show", podAddress); !strings.Contains(out, changedMAC) {
			return errors.New(out)
		}
		return nil
	})
	if s := l.status(); s.WireMAC != changedMAC || s.MTU != 1300 {
		l.t.Errorf("status has MAC %s and MTU %d", s.WireMAC, s.MTU)
	}
	l.addsNeighbour()
	l.renewsAddress(mute)
}

// lowersMTU lowers the MTU during a transfer, which goes on.
func (l *lab) lowersMTU() {
	l.t.Helper()
	l.peer.serves("sink", ":5000")
	p := l.guest.start(l.guest.as("source", peerAddress+":5000", fmt.Sprint(bulk/4), "7")...)
	await(l.t, "the transfer to run", func() error {
		if sent := l.port("uplink").TxBytes; sent < 1<<20 {
			return fmt.Errorf("%d bytes are sent", sent)
		}
		return nil
	})
	l.pod.batch("link set eth0 mtu 1300")
	l.node.batch("link set vpod mtu 1300") // drops what is larger
	p.awaitFor(transferTime, "sum ")
	if code := p.wait(); code != 0 {
		l.t.Errorf("%s: exit code %d\n%s", p.name, code, p.text())
	}
	l.wantsPathMTU(peerAddress, 1300)
}

func (l *lab) port(name string) (found struct{ TxBytes uint64 }) {
	l.t.Helper()
	for _, p := range l.status().Ports {
		if p.Name == name {
			found.TxBytes = p.TxBytes
		}
	}
	return found
}

// wantsPathMTU checks that the guest is told the MTU of a path, and that packets of it pass.
func (l *lab) wantsPathMTU(to string, mtu int) {
	l.t.Helper()
	await(l.t, fmt.Sprintf("the MTU %d of the path to %s", mtu, to), func() error {
		l.guest.must("ip", "route", "flush", "cache")
		out, errs, _ := l.guest.run("ping", "-c1", "-W1", "-M", "do", "-s", fmt.Sprint(mtu-28+1), to)
		if text := out + errs; !strings.Contains(text, fmt.Sprintf("mtu = %d", mtu)) && !strings.Contains(text, fmt.Sprintf("mtu=%d", mtu)) {
			return errors.New(text)
		}
		return nil
	})
	l.guest.must("ping", "-c1", "-W2", "-M", "do", "-s", fmt.Sprint(mtu-28), to)
}

// addsRoutes adds a route with an MTU and one with an advmss, to addresses that only the peer has.
func (l *lab) addsRoutes() {
	l.t.Helper()
	l.peer.batch("addr add 10.99.0.1/32 dev lo", "addr add 10.98.0.1/32 dev lo")
	if _, _, code := l.guest.run("ping", "-c1", "-W1", "10.99.0.1"); code == 0 {
		l.t.Fatal("10.99.0.1 answers without a route")
	}
	l.pod.batch("route add 10.99.0.0/16 via 10.244.1.8 dev eth0 onlink mtu 1200", "route add 10.98.0.0/16 via 10.244.1.8 dev eth0 onlink advmss 1000")
	l.awaitPing("10.99.0.1")
	l.wantsPathMTU("10.99.0.1", 1200)
	l.awaitPing("10.98.0.1")
	capture := l.peer.start("tcpdump", "-i", "eth0", "-l", "-n", "-c1", "tcp[tcpflags] & tcp-syn != 0 and dst 10.98.0.1")
	capture.awaitText("listening on")
	l.peer.serves("sink", ":5001")
	l.guest.sends("10.98.0.1:5001", 1<<10)
	if code := capture.wait(); code != 0 || !strings.Contains(capture.text(), "mss 1000") {
		l.t.Errorf("the SYN has no MSS of 1000: %s", capture.text())
	}
}

// addsNeighbour adds a permanent neighbour that answers no ARP.
func (l *lab) addsNeighbour() {
	l.t.Helper()
	l.peer.must("sysctl", "-qw", "net.ipv4.conf.eth0.arp_ignore=1")
	l.peer.batch("addr add 10.244.1.50/32 dev lo")
	l.pod.batch("neigh add 10.244.1.50 lladdr " + l.mac(l.peer, "eth0") + " dev eth0 nud permanent")
	l.awaitPing("10.244.1.50")
}

func (l *lab) awaitPing(to string) {
	l.t.Helper()
	await(l.t, "an answer of "+to, func() error {
		if out, errs, code := l.guest.run("ping", "-c1", "-W1", to); code != 0 {
			return errors.New(out + errs)
		}
		return nil
	})
}

// renewsAddress gives the pod address a lifetime, as a DHCP client of the pod does, which the guest's next lease has.
func (l *lab) renewsAddress(mute bool) {
	l.t.Helper()
	l.pod.batch("addr replace 10.244.1.7/24 brd 10.244.1.255 dev eth0 valid_lft 5000 preferred_lft 4000")
	await(l.t, "a lease of 5000 s", func() error {
		l.udhcpc("tap0")
		s := l.status()
		if s.Lease == nil {
			return errors.New("no lease")
		}
		expires, err := time.Parse(time.RFC3339Nano, s.Lease.Expires)
		if left := time.Until(expires); err != nil || left > 5000*time.Second || left < 4000*time.Second {
			return fmt.Errorf("the lease ends in %s (%v)", left, err)
		}
		return nil
	})
	if !mute {
		await(l.t, "the pod address to be taken again", func() error {
			if list := l.pod.addresses("eth0"); len(list) > 0 {
				return fmt.Errorf("%v", list)
			}
			return nil
		})
	}
	l.awaitPing("10.99.0.1")
	l.awaitPing("10.244.1.50")
}

// wantsChangedNetwork checks the pod interface after the end.
func (l *lab) wantsChangedNetwork(mute bool) {
	l.t.Helper()
	var routes []string
	for _, line := range strings.Split(strings.TrimSpace(must(l.t, "ip", "-n", l.pod.name, "route")), "\n") {
		routes = append(routes, strings.TrimSpace(line))
	}
	slices.Sort(routes)
	want := []string{
		"10.244.0.0/16 via 10.244.1.1 dev eth0",
		"10.244.1.0/24 dev eth0 proto kernel scope link src 10.244.1.7",
		"10.98.0.0/16 via 10.244.1.8 dev eth0 onlink advmss 1000",
		"10.99.0.0/16 via 10.244.1.8 dev eth0 onlink mtu 1200",
		"default via 10.244.1.1 dev eth0",
	}
	slices.Sort(want)
	if !slices.Equal(routes, want) {
		l.t.Errorf("routes\n%s\nwant\n%s", strings.Join(routes, "\n"), strings.Join(want, "\n"))
	}
	address := must(l.t, "ip", "-n", l.pod.name, "addr", "show", "dev", "eth0")
	for _, text := range []string{changedMAC, "mtu 1300", "inet 10.244.1.7/24 brd 10.244.1.255 scope global dynamic"} {
		if strings.Count(address, text) != 1 {
			l.t.Errorf("the interface lacks %q:\n%s", text, address)
		}
	}
	if out := must(l.t, "ip", "-n", l.pod.name, "neigh", "show", "nud", "permanent"); strings.TrimSpace(out) != "10.244.1.50 dev eth0 lladdr "+l.mac(l.peer, "eth0")+" PERMANENT" {
		l.t.Errorf("permanent neighbours: %s", out)
	}
	l.pod.must("ping", "-c1", "-W2", "10.99.0.1")
	l.pod.must("ping", "-c1", "-W2", "10.244.1.50")
}
