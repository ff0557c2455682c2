package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bulk is the size of a transfer in bytes.
const bulk = 1 << 30

// serves starts a role in the background and waits until it listens.
func (n namespace) serves(role string, args ...string) *process {
	n.t.Helper()
	p := n.start(n.as(role, args...)...)
	p.awaitText("listening")
	return p
}

// TestTraffic sends ICMP, UDP and TCP of each family both ways, with offloads on and off.
func TestTraffic(t *testing.T) {
	for _, offload := range []string{"on", "off"} {
		t.Run("offload "+offload, func(t *testing.T) {
			l := newDualLab(t)
			p := l.podswitch("--offload", offload)
			l.leased()
			for _, end := range l.ends {
				t.Run("guest to "+end.peer, func(t *testing.T) { l.exchangeAll(t, l.guest, l.peer, end.peer) })
				t.Run("to guest at "+end.pod, func(t *testing.T) { l.exchangeAll(t, l.peer, l.guest, end.pod) })
			}
			l.guest.must("ping", "-c1", "-W2", nodeAddress)
			l.node.must("ping", "-c1", "-W2", podAddress)
			l.expectSegments(offload == "on")
			p.stop()
		})
	}
}

// exchangeAll sends ICMP, UDP with fragments, and bulk bytes of TCP from client to server, and checks the contents.
func (l *lab) exchangeAll(t *testing.T, client, server namespace, address string) {
	client.t, server.t = t, t
	client.must("ping", "-c3", "-i0.2", "-W2", address)
	header := 20
	if strings.Contains(address, ":") {
		header = 40
	}
	client.must("ping", "-c1", "-W2", "-M", "do", "-s", fmt.Sprint(podMTU-header-8), address)
	echo, sink := net.JoinHostPort(address, "4000"), net.JoinHostPort(address, "5000")
	server.serves("echo-udp", echo)
	client.must(client.as("ask-udp", echo)...)
	server.serves("sink", sink)
	client.sends(sink, bulk)
}

// transferTime bounds a transfer. It suits a busy machine and frames without offloads; source fails sooner without progress.
const transferTime = 10 * time.Minute

// sends sends bytes to a sink, which has to receive them unchanged.
func (n namespace) sends(address string, bytes int) {
	n.t.Helper()
	p := n.start(n.as("source", address, strconv.Itoa(bytes), "7")...)
	p.awaitFor(transferTime, "sum ")
	if code := p.wait(); code != 0 {
		n.t.Errorf("%s: exit code %d\n%s", p.name, code, p.text())
	}
}

// expectSegments checks that with offloads large segments passed the guest's port both ways. Without offloads none was transmitted to the
// guest; segments from the guest are merged even so.
func (l *lab) expectSegments(whole bool) {
	l.t.Helper()
	for _, p := range l.status().Ports {
		if p.Name != "guest" {
			continue
		}
		sent := float64(bulk * len(l.ends))
		rx, tx := sent/float64(p.RxFrames), sent/float64(p.TxFrames)
		if whole && (rx < 4*podMTU || tx < 4*podMTU) || !whole && (rx < 2*podMTU || tx > podMTU) {
			l.t.Errorf("the mean frame has about %.0f bytes from and %.0f to the guest; want large segments: %t", rx, tx, whole)
		}
	}
}

// TestKeep checks that the pod's processes answer at kept ports while the switch is the holder, and while the guest is.
func TestKeep(t *testing.T) {
	for name, lab := range map[string]func(*testing.T) *lab{"IPv4": newLab, "both versions": newDualLab, "IPv6": newLab6} {
		t.Run(name, func(t *testing.T) { lab(t).testKeep() })
	}
}

func (l *lab) testKeep() {
	t := l.t
	l.pod.serves("serve-text", "127.0.0.1:8080", "hello from the pod")
	l.pod.serves("serve-text", "127.0.0.1:9090", "metrics of the pod")
	l.pod.serves("echo-udp", "127.0.0.1:5354")
	p := l.podswitch("--keep", "tcp/8080", "--keep", "tcp/9091=127.0.0.1:9090", "--keep", "udp/5353=127.0.0.1:5354,from=127.0.0.2")
	check := func(holder string) {
		t.Helper()
		l.awaitHolder(holder)
		for _, end := range l.ends {
			for port, want := range map[string]string{"8080": "hello from the pod\n", "9091": "metrics of the pod\n"} {
				if got := l.peer.must(l.peer.as("fetch", net.JoinHostPort(end.pod, port))...); got != want {
					t.Errorf("holder %s, %s, port %s: %q, want %q", holder, end.pod, port, got, want)
				}
			}
			l.peer.must(l.peer.as("ask-udp", net.JoinHostPort(end.pod, "5353"), "1", "1000", "1402")...)
		}
	}
	for _, end := range l.ends {
		l.peer.must("ping", "-c1", "-W2", end.pod)
	}
	check("switch")
	l.leased()
	check("guest")
	l.guest.serves("serve-text", ":80", "hello from the guest")
	for _, end := range l.ends {
		if got := l.peer.must(l.peer.as("fetch", net.JoinHostPort(end.pod, "80"))...); got != "hello from the guest\n" {
			t.Errorf("%s, port 80: %q", end.pod, got)
		}
	}
	p.stop()
}

// TestKeepTellsTheClient checks that a target learns the client's address from the header of the PROXY protocol.
func TestKeepTellsTheClient(t *testing.T) {
	l := newLab(t)
	l.pod.serves("serve-head", "127.0.0.1:8080", "28")
	p := l.podswitch("--keep", "tcp/8080,proxy")
	l.leased()
	got := l.peer.must(l.peer.as("fetch", podAddress+":8080")...)
	client, pod := netip.MustParseAddr(peerAddress).As4(), netip.MustParseAddr(podAddress).As4()
	want := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + string(client[:]) + string(pod[:])
	if len(got) != 28 || !strings.HasPrefix(got, want) || got[26:] != "\x1f\x90" {
		t.Errorf("the target got %q, want %q, the client's port and 8080", got, want)
	}
	p.stop()
}

// TestKeepFromClient checks that processes of the pod see the client's own address at direct ports, with every holder.
func TestKeepFromClient(t *testing.T) {
	for _, address := range []string{"move", "mute"} {
		t.Run(address, func(t *testing.T) {
			l := newLab(t)
			l.pod.serves("serve-client", "0.0.0.0:8080")
			l.pod.serves("echo-udp", "0.0.0.0:5353")
			p := l.podswitch("--address", address, "--keep", "tcp/8080,from=client", "--keep", "udp/5353,from=client")
			l.awaitHolder("switch")
			check := func() {
				t.Helper()
				if got := l.peer.must(l.peer.as("fetch", podAddress+":8080")...); got != peerAddress+"\n" {
					t.Errorf("the client was %q, want %s", got, peerAddress)
				}
				l.peer.must(l.peer.as("ask-udp", podAddress+":5353", "1", "1000", "1422")...)
			}
			check()
			l.leased()
			check()
			p.stop()
		})
	}
}

// TestRefuse checks that a connection is refused while the switch is the holder, and gets no answer with --refuse=false.
func TestRefuse(t *testing.T) {
	l := newLab(t)
	fetch := func() string {
		_, errs, _ := l.peer.run(l.peer.as("fetch", podAddress+":81")...)
		return errs
	}
	p := l.podswitch()
	l.awaitHolder("switch")
	await(t, "a refusal", func() error {
		if errs := fetch(); !strings.Contains(errs, "refused") {
			return errors.New(errs)
		}
		return nil
	})
	p.stop()

	p = l.podswitch("--refuse=false")
	l.awaitHolder("switch")
	for range 2 { // each waits for five seconds
		if errs := fetch(); !strings.Contains(errs, "timeout") {
			t.Errorf("a connection ended with %q, want a timeout", errs)
		}
	}
	p.stop()
}

// TestNameServer checks that the guest reaches a name server on the pod's loopback, over UDP and over TCP.
func TestNameServer(t *testing.T) {
	l := newLab(t)
	l.withResolv("nameserver 127.0.0.53\n")
	l.pod.serves("dns", "127.0.0.53:53")
	p := l.podswitch()
	l.leased()
	l.resolves()
	p.stop()
}

// TestNameServerIPv6 is TestNameServer for a pod that has no IPv4 address: the relay is at the link-local address of the guest's router.
func TestNameServerIPv6(t *testing.T) {
	l := newLab6(t)
	l.withResolv("nameserver 127.0.0.53\n")
	l.pod.serves("dns", "127.0.0.53:53")
	p := l.podswitch()
	l.leased()
	l.resolvesAt(l.status().IPv6.Router + "%tap0")
	p.stop()
}

// resolves checks that the guest gets an answer of the relay, over UDP and over TCP.
func (l *lab) resolves() {
	l.t.Helper()
	l.resolvesAt("169.254.75.10")
}

func (l *lab) resolvesAt(server string) {
	l.t.Helper()
	for _, transport := range []string{"", "use-vc"} {
		script := fmt.Sprintf(`
mount --make-rprivate /
echo "options timeout:2 attempts:3 %s" > /tmp/resolv.$$; echo "nameserver %s" >> /tmp/resolv.$$
mount --bind /tmp/resolv.$$ /etc/resolv.conf
rm /tmp/resolv.$$
exec getent hosts name.example`, transport, server)
		out := l.guest.must("unshare", "-m", "sh", "-c", script)
		if !strings.HasPrefix(out, "192.0.2.53") {
			l.t.Errorf("transport %q: answer %q", transport, out)
		}
	}
}

// TestForwardingNameServer checks that a name server of the pod, which is bound to no address, can ask one outside while the guest has the
// address, before and after a takeover, and that other processes of the pod have the same way out, which leaves nothing behind.
func TestForwardingNameServer(t *testing.T) {
	for _, address := range []string{"move", "mute"} {
		t.Run(address, func(t *testing.T) {
			l := newLab(t)
			before := l.pod.must("ip", "addr") + l.pod.must("ip", "route", "show", "table", "all")
			l.withResolv("nameserver 127.0.0.1\n")
			l.pod.serves("dns-forward", ":53", peerAddress+":53")
			l.peer.serves("dns", peerAddress+":53")
			l.peer.serves("serve-text", ":81", "hello from the peer")
			p := l.podswitch("--address", address)
			l.leased()
			l.resolves()
			if got := l.pod.must(l.pod.as("fetch", peerAddress+":81")...); got != "hello from the peer\n" {
				t.Errorf("the pod got %q", got)
			}
			l.guest.must("ping", "-c1", "-W2", peerAddress)
			l.takeover()
			l.resolves()
			p.stop()
			if after := l.pod.must("ip", "addr") + l.pod.must("ip", "route", "show", "table", "all"); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// TestPathMTU checks a guest that ignores the MTU option: it gets an ICMP error with the MTU, and the MSS of its TCP is clamped.
func TestPathMTU(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	l.leased()
	l.guest.batch("link set tap0 mtu 1500")
	_, _, code := l.guest.run("ping", "-c1", "-W2", "-M", "do", "-s", "1460", peerAddress)
	if code == 0 {
		t.Error("a packet of 1488 bytes passed a path of 1450")
	}
	var cached []struct {
		Metrics []struct{ MTU int }
	}
	l.guest.json(&cached, "route", "get", peerAddress)
	if len(cached) != 1 || len(cached[0].Metrics) == 0 || cached[0].Metrics[0].MTU != podMTU {
		t.Errorf("the guest has not learned the MTU of the path: %+v", cached)
	}
	l.guest.must("ping", "-c1", "-W2", "-M", "dont", "-s", "4000", peerAddress)
	l.peer.serves("sink", ":5000")
	l.guest.sends(peerAddress+":5000", 10_000_000)
	p.stop()
}

// TestDeny checks that the guest does not reach destinations of --deny, nor those that OpenShift SDN denies by a table in the pod.
func TestDeny(t *testing.T) {
	l := newLab(t)
	l.pod.must("nft", "add", "table", "ip", "openshift-block-output")
	p := l.podswitch("--deny", peerAddress+":81")
	p.awaitText("openshift-block-output")
	l.leased()
	l.expectDenied(map[string]bool{"80": true, "81": false, "22623": false, "22624": false})
	p.stop()
}

// expectDenied checks at which ports the guest reaches the peer.
func (l *lab) expectDenied(ports map[string]bool) {
	l.t.Helper()
	var denied uint64
	for port, allowed := range ports {
		l.peer.serves("serve-text", ":"+port, "hello")
		if _, errs, code := l.guest.run(l.guest.as("fetch", net.JoinHostPort(l.ends[0].peer, port))...); (code == 0) != allowed {
			l.t.Errorf("port %s: exit code %d: %s", port, code, errs)
		}
		if !allowed {
			denied++
		}
	}
	if n := l.guestDrops()["denied"]; n < denied {
		l.t.Errorf("%d frames were denied, want at least %d", n, denied)
	}
}

// TestDenyIPv6 checks --deny with an IPv6 address and a port, and with a prefix.
func TestDenyIPv6(t *testing.T) {
	l := newLab6(t)
	p := l.podswitch("--deny", "["+peerAddress6+"]:81", "--deny", "fd00:10:244:1::100/120")
	l.leased()
	l.expectDenied(map[string]bool{"80": true, "81": false})
	l.peer.batch("addr add fd00:10:244:1::105/64 dev eth0 nodad")
	if _, _, code := l.guest.run("ping", "-c1", "-W1", "fd00:10:244:1::105"); code == 0 {
		t.Error("the guest reaches a denied prefix")
	}
	p.stop()
}

// TestPodMAC checks that a guest with the MAC of the pod interface works with --guest-mac pod.
func TestPodMAC(t *testing.T) {
	l := newLab(t)
	p := l.podswitch("--guest-mac", "pod")
	l.plugGuest()
	l.guest.batch("link set tap0 down", "link set tap0 address "+podMAC, "link set tap0 up")
	l.udhcpc("tap0")
	l.awaitHolder("guest")
	l.exchangeAll(t, l.guest, l.peer, peerAddress)
	l.exchangeAll(t, l.peer, l.guest, podAddress)
	p.stop()
}
