package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// capture records the frames that a device of the node receives, until the returned function is called. Those are the frames that the other
// end of a veth sends.
func (l *lab) capture(device string) (frames func() [][]byte) {
	l.t.Helper()
	return l.node.capture(device)
}

// capture records the frames that a device receives and that pass a filter (pcap-filter(7)), until the returned function is called.
func (n namespace) capture(device string, filter ...string) (frames func() [][]byte) {
	n.t.Helper()
	file := filepath.Join(n.t.TempDir(), "capture.pcap")
	p := n.start(append([]string{"tcpdump", "-i", device, "-Q", "in", "-s", "128", "--immediate-mode", "-U", "-Z", "root", "-w", file}, filter...)...)
	p.awaitText("listening on")
	return func() [][]byte {
		p.signal(syscall.SIGINT)
		p.wait()
		return readCapture(n.t, file)
	}
}

func readCapture(t *testing.T, file string) (frames [][]byte) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, data)
	}
}

// TestWire checks the frames that leave the pod while the guest gets the address and uses it, and while it sends frames that must not
// leave.
func TestWire(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	frames := l.capture("vpod")
	l.leased()
	l.guest.must("ping", "-c2", "-i0.2", peerAddress)
	l.peer.must("ping", "-c2", "-i0.2", podAddress)
	l.sendForbidden()
	l.guest.must("ping", "-c1", peerAddress) // the switch has handled the forbidden frames before this one
	for _, fault := range (wire{mac: podMAC, addresses: []string{podAddress}}).faults(frames()) {
		t.Error(fault)
	}
	p.stop()
}

// A wire checks the frames that leave a pod interface.
type wire struct {
	mac       string   // the pod's
	addresses []string // the pod's, that a guest may use
	linkLocal string   // of the pod's kernel; it stays there
	macless   bool     // the link has no useful MACs, no ARP and no neighbour discovery
}

// faults returns the faults of frames that left a pod.
func (w wire) faults(frames [][]byte) (faults []string) {
	if len(frames) < 6 {
		faults = append(faults, fmt.Sprintf("the capture has only %d frames from the pod, want at least 6", len(frames)))
	}
	for _, data := range frames {
		packet := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default)
		if fault := w.fault(packet); fault != "" && len(faults) < 10 {
			faults = append(faults, fmt.Sprintf("left the pod: %s\n%s", fault, packet))
		}
	}
	return faults
}

// fault returns the fault of a frame, or "".
func (w wire) fault(packet gopacket.Packet) string {
	eth, ok := packet.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if !ok {
		return "no Ethernet header"
	}
	if !w.macless && eth.SrcMAC.String() != w.mac {
		return "foreign source MAC " + eth.SrcMAC.String()
	}
	if packet.Layer(layers.LayerTypeDHCPv4) != nil {
		return "DHCP"
	}
	switch l := packet.NetworkLayer().(type) {
	case *layers.IPv4:
		if !slices.Contains(w.addresses, l.SrcIP.String()) {
			return "foreign source IP " + l.SrcIP.String()
		}
		return ""
	case *layers.IPv6:
		return w.fault6(packet, l)
	case nil:
		return w.arpFault(packet)
	default:
		return "network layer " + l.LayerType().String()
	}
}

// fault6 returns the fault of a frame of IPv6, or "". The pod's kernel goes on to send from its link-local address: multicast listener
// reports, router solicitations and neighbour discovery.
func (w wire) fault6(packet gopacket.Packet, ip *layers.IPv6) string {
	if packet.Layer(layers.LayerTypeDHCPv6) != nil {
		return "DHCP"
	}
	var options layers.ICMPv6Options
	if ns, ok := packet.Layer(layers.LayerTypeICMPv6NeighborSolicitation).(*layers.ICMPv6NeighborSolicitation); ok {
		options = ns.Options
		if slices.Contains(w.addresses, ns.TargetAddress.String()) {
			return "a solicitation for the pod address"
		}
	}
	if na, ok := packet.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement); ok {
		options = na.Options
	}
	for _, o := range options {
		if link := o.Type == layers.ICMPv6OptSourceAddress || o.Type == layers.ICMPv6OptTargetAddress; link && net.HardwareAddr(o.Data).String() != w.mac {
			return "neighbour discovery with another MAC"
		}
	}
	icmp, _ := packet.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	own := icmp != nil && icmp.TypeCode.Type() > layers.ICMPv6TypeEchoReply // neither an error nor echo
	switch source := ip.SrcIP.String(); {
	case source == w.linkLocal && (own || ip.NextHeader == layers.IPProtocolIPv6HopByHop):
		return ""
	case !slices.Contains(w.addresses, source):
		return "foreign source IP " + source
	case own && len(options) == 0:
		return "ICMPv6 that a host sends from its link-local address"
	}
	return ""
}

// arpFault returns the fault of a frame that is not IP, or "".
func (w wire) arpFault(packet gopacket.Packet) string {
	arp, ok := packet.Layer(layers.LayerTypeARP).(*layers.ARP)
	switch {
	case !ok || w.macless:
		return "neither IP nor ARP"
	case net.HardwareAddr(arp.SourceHwAddress).String() != w.mac || !slices.Contains(w.addresses, net.IP(arp.SourceProtAddress).String()):
		return "ARP with another sender than the pod"
	case slices.Contains(w.addresses, net.IP(arp.DstProtAddress).String()):
		return "an announcement of the pod address"
	}
	return ""
}

// sendForbidden makes the guest send frames that must not leave, and checks that each was dropped under its reason.
func (l *lab) sendForbidden() {
	l.t.Helper()
	const (
		toAll   = "ffffffffffff"
		toGroup = "0180c200000e"
		station = "020000000042"
		tail    = "00000000000000000000000000000000000000000000"
	)
	frames := map[string][]string{
		"vlan": {toAll + station + "8100000508004500001c0000000040116ed70af40107ffffffff000900090008" + "0000" + tail},
		"ethertype": {
			toGroup + station + "88cc0207040200000000420403050600000000" + tail,                                                               // LLDP
			toAll + station + "80350001080006040003" + station + "00000000" + station + "00000000" + tail,                                     // RARP
			"333300000002" + station + "86dd6000000000083afffe800000000000000000000000000001ff0200000000000000000000000000028500000000000000", // router solicitation
			toAll + station + "0026424203000000000000000000000000000000000000000000000000000000000000000000000000000000",                      // spanning tree
		},
		"own-arp": {
			toAll + station + "08060001080006040001" + station + "00000000" + "000000000000" + "0af40108", // probe
			toAll + station + "08060001080006040001" + station + "0af40107" + "000000000000" + "0af40107", // announcement
		},
		"foreign-source-ip": {toAll + station + "08004500001c0000000040116c790af4016301010101000900090008" + "0000" + tail},
		"dhcp": {
			toAll + station + "08004500001c0000000040116ed70af40107ffffffff004300440008" + "0000" + tail, // a server's
			toAll + station + "08004500001c00000000401162e20af401070af40101004400430008" + "0000" + tail, // to another server
		},
	}
	before := l.guestDrops()
	for reason, list := range frames {
		l.guest.must(l.guest.as("send-frames", append([]string{"tap0"}, list...)...)...)
		await(l.t, "the drops of "+reason, func() error {
			if n := l.guestDrops()[reason] - before[reason]; n < uint64(len(list)) {
				return fmt.Errorf("%d of %d", n, len(list))
			}
			return nil
		})
	}
}

func (l *lab) guestDrops() map[string]uint64 {
	l.t.Helper()
	for _, p := range l.status().Ports {
		if p.Name == "guest" {
			return p.Drops
		}
	}
	l.t.Fatal("no guest port in the status")
	return nil
}
