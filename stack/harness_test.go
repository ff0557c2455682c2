package stack

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// The network of the tests: the pod endpoint with a router behind it, and other stations.
var (
	podAddress   = netip.MustParseAddr("10.244.1.7")
	otherAddress = netip.MustParseAddr("10.244.9.9")
	wireMAC      = vswitch.MAC{0x0a, 0x58, 0x0a, 0xf4, 0x01, 0x07}
	routerMAC    = vswitch.MAC{0x02, 0, 0, 0, 0, 0x01}
	otherMAC     = vswitch.MAC{0x02, 0, 0, 0, 0, 0x99}
)

// podConfig is the configuration of the pod endpoint.
func podConfig() Config {
	return Config{Address: podAddress, MAC: wireMAC, PeerMAC: routerMAC, MTU: 1450, ARP: true}
}

// A captured is a frame that an endpoint sent.
type captured struct {
	offload vnet.Header
	data    []byte
}

// A tapped is an endpoint whose frames are collected.
type tapped struct {
	*Endpoint
	t      testing.TB
	frames chan captured
}

// open returns an endpoint that is closed at the end of the test.
func open(t testing.TB, cfg Config) *tapped {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &tapped{Endpoint: e, t: t, frames: make(chan captured, 4096)}
	var collecting sync.WaitGroup
	collecting.Go(func() {
		drain(e, func(f vswitch.Frame) {
			p.frames <- captured{f.Offload, append([]byte(nil), f.Data...)}
		})
	})
	t.Cleanup(func() {
		_ = e.Close()
		collecting.Wait()
	})
	return p
}

// drain calls take for each frame that e sends, until e is closed.
func drain(e *Endpoint, take func(vswitch.Frame)) {
	batch := make([]vswitch.Frame, vswitch.BatchSize)
	for {
		n, err := e.Receive(batch)
		if err != nil {
			return
		}
		for _, f := range batch[:n] {
			take(f)
		}
	}
}

// put transmits one frame without offloads.
func (p *tapped) put(data []byte) { p.Transmit([]vswitch.Frame{{Data: data}}) }

// next returns the next frame that the endpoint sends.
func (p *tapped) next() captured {
	p.t.Helper()
	return within(p.t, p.frames)
}

// nextPacket is next, decoded.
func (p *tapped) nextPacket() gopacket.Packet {
	p.t.Helper()
	return decode(p.t, p.next().data)
}

// expectNoFrame checks that the endpoint has sent no frame: the reply to an echo request must be the next one. Frames that netstack sends
// during Transmit are in order.
func (p *tapped) expectNoFrame() {
	p.t.Helper()
	p.put(echoRequest(p.t, otherAddress, p.cfg.Address, 0xfefe, []byte("fence")))
	packet := p.nextPacket()
	if reply, ok := packet.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); !ok || reply.Id != 0xfefe {
		p.t.Errorf("want silence, got %s", packet)
	}
}

// drops returns the number of drops for a reason.
func (p *tapped) drops(reason vswitch.Reason) uint64 { return p.Counters().Drops()[reason.String()] }

// decode parses a frame, which must be well-formed.
func decode(t testing.TB, frame []byte) gopacket.Packet {
	t.Helper()
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if failure := packet.ErrorLayer(); failure != nil {
		t.Fatalf("malformed frame %x: %v", frame, failure.Error())
	}
	return packet
}

// serialise builds a frame with lengths and checksums.
func serialise(t testing.TB, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, parts...); err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), buffer.Bytes()...)
}

// etherHeader is the header of frames to the endpoint, as the forwarder writes it.
func etherHeader(ethertype layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: routerMAC[:], DstMAC: wireMAC[:], EthernetType: ethertype}
}

// ipHeader is an IPv4 header.
func ipHeader(from, to netip.Addr, protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{
		Version: 4, IHL: 5, TTL: 64, Protocol: protocol, SrcIP: from.AsSlice(), DstIP: to.AsSlice(),
	}
}

// echoRequest builds a ping.
func echoRequest(t testing.TB, from, to netip.Addr, id uint16, payload []byte) []byte {
	t.Helper()
	return serialise(t, etherHeader(layers.EthernetTypeIPv4), ipHeader(from, to, layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: id, Seq: 1}, gopacket.Payload(payload))
}

// udpFrame builds a UDP datagram.
func udpFrame(t testing.TB, from, to netip.AddrPort, payload []byte) []byte {
	t.Helper()
	ip := ipHeader(from.Addr(), to.Addr(), layers.IPProtocolUDP)
	udp := &layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialise(t, etherHeader(layers.EthernetTypeIPv4), ip, udp, gopacket.Payload(payload))
}

// synFrame builds a TCP SYN.
func synFrame(t testing.TB, from, to netip.AddrPort) []byte {
	t.Helper()
	ip := ipHeader(from.Addr(), to.Addr(), layers.IPProtocolTCP)
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(from.Port()), DstPort: layers.TCPPort(to.Port()), Seq: 1000, SYN: true, Window: 65535,
	}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialise(t, etherHeader(layers.EthernetTypeIPv4), ip, tcp)
}

// arpRequestFrame builds an ARP request of sender for target.
func arpRequestFrame(t testing.TB, senderMAC vswitch.MAC, sender, target netip.Addr) []byte {
	t.Helper()
	return serialise(t,
		&layers.Ethernet{SrcMAC: senderMAC[:], DstMAC: vswitch.Broadcast[:], EthernetType: layers.EthernetTypeARP},
		&layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
			Operation: layers.ARPRequest, SourceHwAddress: senderMAC[:], SourceProtAddress: sender.AsSlice(),
			DstHwAddress: make([]byte, 6), DstProtAddress: target.AsSlice(),
		})
}

// slowSum is the ones' complement sum of 16-bit words, one at a time (RFC 1071).
func slowSum(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum
}

// checkChecksums checks the IPv4 checksum and that of TCP, UDP or ICMP.
func checkChecksums(t testing.TB, frame []byte) {
	t.Helper()
	ip := frame[14:]
	headerLength := int(ip[0]&15) * 4
	if slowSum(0, ip[:headerLength]) != 0xffff {
		t.Errorf("bad IPv4 checksum in %x", frame)
	}
	transport := ip[headerLength:binary.BigEndian.Uint16(ip[2:])]
	var pseudo uint32
	if ip[9] != 1 {
		pseudo = slowSum(uint32(ip[9])+uint32(len(transport)), ip[12:20])
	}
	if slowSum(pseudo, transport) != 0xffff {
		t.Errorf("bad transport checksum in %x", frame)
	}
}

// addrPort returns the address of an endpoint with a port.
func addrPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// checkMACs checks the MACs of a frame.
func checkMACs(t testing.TB, frame []byte, source, destination vswitch.MAC) {
	t.Helper()
	if got := vswitch.MAC(frame[6:]); got != source {
		t.Errorf("source MAC %s, want %s", got, source)
	}
	if got := vswitch.MAC(frame); got != destination {
		t.Errorf("destination MAC %s, want %s", got, destination)
	}
}

// sameIP compares an address with that of a layer.
func sameIP(a net.IP, b netip.Addr) bool { return a.Equal(b.AsSlice()) }
