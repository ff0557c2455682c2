package stack_test

import (
	"fmt"
	"log"
	"net"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/stack"
	"github.com/podswitch/podswitch/vswitch"
)

// A guest gets its address by DHCP. Here the guest's frames go directly to the endpoint; a vswitch.Switch would move them between the
// endpoint and any other port.
func Example() {
	offer, _, err := dhcpsrv.NewOffer(dhcpsrv.Offer{
		Address: netip.MustParsePrefix("10.244.1.7/24"), Server: netip.MustParseAddr("169.254.75.10"), MTU: 1450, Lease: time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	server, err := stack.New(stack.Config{Address: offer.Server, MAC: vswitch.MAC{2, 0, 0, 0, 0, 1}, MTU: offer.MTU})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	var lease dhcpsrv.Lease
	err = server.ServeDHCP(func(message []byte) (reply []byte, to netip.AddrPort, mac vswitch.MAC) {
		r := dhcpsrv.Answer(offer, dhcpsrv.Query{Message: message, Lease: lease, Now: time.Now()})
		lease = r.Lease
		return r.Reply, r.To, vswitch.MAC(r.ToMAC)
	})
	if err != nil {
		log.Fatal(err)
	}

	guest := net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	discover, err := dhcpv4.NewDiscovery(guest)
	if err != nil {
		log.Fatal(err)
	}
	request, err := dhcpv4.NewRequestFromOffer(exchange(server, discover))
	if err != nil {
		log.Fatal(err)
	}
	ack := exchange(server, request)
	fmt.Println(ack.MessageType(), ack.YourIPAddr, ack.SubnetMask(), "from", ack.ServerIdentifier())
	// Output:
	// ACK 10.244.1.7 ffffff00 from 169.254.75.10
}

// exchange broadcasts a DHCP message as a client without an address does, and returns the reply.
func exchange(port vswitch.Port, message *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	ethernet := &layers.Ethernet{SrcMAC: message.ClientHWAddr, DstMAC: layers.EthernetBroadcast, EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4zero, DstIP: net.IPv4bcast}
	udp := &layers.UDP{SrcPort: 68, DstPort: 67}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		log.Fatal(err)
	}
	frame := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(frame, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		ethernet, ip, udp, gopacket.Payload(message.ToBytes()))
	if err != nil {
		log.Fatal(err)
	}
	port.Transmit([]vswitch.Frame{{Data: frame.Bytes()}})

	batch := make([]vswitch.Frame, 1)
	if _, err := port.Receive(batch); err != nil {
		log.Fatal(err)
	}
	packet := gopacket.NewPacket(batch[0].Data, layers.LayerTypeEthernet, gopacket.Default)
	reply, err := dhcpv4.FromBytes(packet.TransportLayer().LayerPayload())
	if err != nil {
		log.Fatal(err)
	}
	return reply
}
