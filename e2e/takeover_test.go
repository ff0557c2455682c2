package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// takeover starts a switch that takes over from the running one, and waits until it is ready.
func (l *lab) takeover(args ...string) *process {
	l.t.Helper()
	p := l.pod.start(append([]string{program, "run", "--takeover", "--state-dir", l.stateDir}, args...)...)
	p.awaitText("ready")
	return p
}

// An attachment is a way to attach a guest.
type attachment struct {
	name  string
	guest func(dir string) string // value of --guest
	keeps bool                    // frames for the switch wait in a queue of the kernel during a takeover, and not in the hypervisor
}

func guestKinds() []attachment {
	return []attachment{
		{"tap", func(string) string { return "tap:tap0" }, true},
		{"packet", func(string) string { return "packet:v0" }, true},
		{"stream", func(dir string) string { return "stream:" + filepath.Join(dir, "s") }, false},
		{"dgram", func(dir string) string { return "dgram:" + filepath.Join(dir, "a") + "," + filepath.Join(dir, "b") }, false},
	}
}

// attached starts podswitch with a guest that is attached in this way, and gets the lease for it.
func (g attachment) attached(l *lab, args ...string) *process {
	l.t.Helper()
	guest := g.guest(socketDir(l.t))
	if g.name == "packet" {
		l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450 up")
	}
	p := l.podswitch(append([]string{"--guest", guest, "--hold-after", "1h"}, args...)...)
	if g.name == "tap" || g.name == "packet" {
		l.leased()
		return p
	}
	l.guest.start(l.guest.as("socket-tap", "tap0", guest)...).awaitText("plugged")
	l.guest.batch("link set tap0 up")
	l.udhcpc("tap0")
	if l.hasIPv6() {
		l.uses6(podAddress6)
	}
	l.awaitHolder("guest")
	return p
}

// TestTakeover makes one switch after another take over while TCP and UDP pass both ways. No stream breaks, and neither the guest nor the
// wire gets additional ARP. With -soak there is a takeover every second for a minute; with -update-docs too, the figures are written to
// docs/security.md.
func TestTakeover(t *testing.T) {
	var rows []string
	for _, g := range guestKinds() {
		t.Run(g.name, func(t *testing.T) {
			l := newLab(t)
			p := g.attached(l)
			before := l.status()
			wire, guest := l.node.capture("vpod", "arp"), l.guest.capture("tap0", "arp")
			times, every, rate := 5, time.Duration(0), 1000
			if *soak {
				times, every, rate = 60, time.Second, 10_000
			}
			row := []string{g.name, fmt.Sprint(times)}
			tcp := l.pourBoth()
			l.takeovers(0, times, every)
			for _, f := range tcp.end() {
				row = append(row, fmt.Sprintf("%.1f GB", float64(f.bytes)/1e9), fmt.Sprint(f.again))
			}
			udp := l.countBoth(rate)
			l.takeovers(times, times, every)
			for _, f := range udp.end() {
				row = append(row, fmt.Sprint(f.sent), fmt.Sprint(f.lost), f.delay)
				if g.keeps && f.lost > f.sent/100 || f.twice > 0 {
					t.Errorf("of %d datagrams %d were lost, and %d came twice", f.sent, f.lost, f.twice)
				}
			}
			for _, port := range l.status().Ports {
				t.Logf("drops at %s: %v", port.Name, port.Drops)
			}
			l.expectContinued(before, 2*times)
			l.expectQuietARP(wire(), guest())
			p.stop()
			rows = append(rows, "| "+strings.Join(row, " | ")+" |")
		})
	}
	header := "| guest | takeovers | TCP from it | sent again | TCP to it | sent again " +
		"| UDP from it | lost | longest delay | UDP to it | lost | longest delay |"
	t.Log("\n" + header + "\n" + strings.Join(rows, "\n"))
	if *updateDocs && *soak && !t.Failed() {
		writeBetween(t, "security.md", "<!-- takeovers: begin -->\n", "<!-- takeovers: end -->\n", header, rows)
	}
}

// takeovers makes switches take over one after another, and checks that status shows each. before is the number of earlier takeovers.
func (l *lab) takeovers(before, times int, every time.Duration) {
	l.t.Helper()
	ticker := time.NewTicker(max(every, time.Millisecond))
	defer ticker.Stop()
	var last *process
	for i := range times {
		<-ticker.C
		next := l.takeover()
		if last != nil {
			if code := last.wait(); code != 0 {
				l.t.Errorf("the previous switch: exit code %d\n%s", code, last.text())
			}
		}
		last = next
		if s := l.status(); s.SwitchPID != next.cmd.Process.Pid || s.Takeovers != before+i+1 {
			l.t.Fatalf("after takeover %d: the switch is process %d after %d takeovers, want process %d",
				before+i+1, s.SwitchPID, s.Takeovers, next.cmd.Process.Pid)
		}
	}
}

// expectContinued checks that holder, lease and counters have survived takeovers.
func (l *lab) expectContinued(before statusReport, takeovers int) {
	l.t.Helper()
	now := l.status()
	if now.Holder != before.Holder || now.KeeperPID != before.KeeperPID || now.Takeovers != takeovers {
		l.t.Errorf("status %+v, before %+v", now, before)
	}
	if now.Lease == nil || *now.Lease != *before.Lease {
		l.t.Errorf("the lease is %+v, before %+v", now.Lease, before.Lease)
	}
	for i, p := range now.Ports {
		was := before.Ports[i]
		if p.Name != was.Name || p.RxFrames < was.RxFrames || p.RxBytes < was.RxBytes || p.TxFrames < was.TxFrames || p.TxBytes < was.TxBytes {
			l.t.Errorf("port %+v, before %+v", p, was)
		}
		for reason, n := range was.Drops {
			if p.Drops[reason] < n {
				l.t.Errorf("%s has %d drops %s, before %d", p.Name, p.Drops[reason], reason, n)
			}
		}
	}
}

// expectQuietARP checks that ARP on the wire is only the pod's, without announcements, and that the guest received only ARP replies.
func (l *lab) expectQuietARP(wireFrames, guestFrames [][]byte) {
	l.t.Helper()
	for _, data := range wireFrames {
		packet := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default)
		if fault := (wire{mac: podMAC, addresses: []string{podAddress}}).fault(packet); fault != "" {
			l.t.Errorf("left the pod: %s\n%s", fault, packet)
		}
	}
	for _, data := range guestFrames {
		packet := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default)
		if arp, ok := packet.Layer(layers.LayerTypeARP).(*layers.ARP); !ok || arp.Operation != layers.ARPReply {
			l.t.Errorf("the guest received other ARP than a reply:\n%s", packet)
		}
	}
}
