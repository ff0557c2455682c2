package stack

import (
	"net"
	"net/netip"

	"github.com/podswitch/podswitch/vswitch"
	"go.uber.org/zap"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Probe asks the MAC mac for target, from the endpoint's address of the same family and its MAC: by an ARP request (RFC 826), or a neighbour
// solicitation (RFC 4861, section 4.3), which goes to the group's MAC instead of vswitch.Broadcast. The endpoint ignores the reply: the
// forwarder sees it. Probe does nothing if the endpoint is closed or has no address of the family.
func (e *Endpoint) Probe(mac vswitch.MAC, target netip.Addr) {
	var err error
	switch {
	case target.Is4() && e.cfg.Address.IsValid():
		err = e.send(mac, header.ARPProtocolNumber, e.arpRequest(target))
	case target.Is6() && e.cfg.AddressIPv6.IsValid():
		err = e.sendSolicitation(mac, target)
	}
	if err != nil {
		e.log.Debug("probe not sent", zap.Stringer("mac", mac), zap.Error(err))
	}
}

func (e *Endpoint) arpRequest(target netip.Addr) header.ARP {
	packet := make(header.ARP, header.ARPSize)
	packet.SetIPv4OverEthernet()
	packet.SetOp(header.ARPRequest)
	sender, asked := e.cfg.Address.As4(), target.As4()
	copy(packet.HardwareAddressSender(), e.cfg.MAC[:])
	copy(packet.ProtocolAddressSender(), sender[:])
	copy(packet.ProtocolAddressTarget(), asked[:])
	return packet
}

// sendSolicitation sends to the solicited-node group of target, which its owner has joined. The group's MAC is that of RFC 2464, section 7.
func (e *Endpoint) sendSolicitation(mac vswitch.MAC, target netip.Addr) error {
	group := header.SolicitedNodeAddr(stackAddress(target))
	if mac == vswitch.Broadcast {
		mac = vswitch.MAC([]byte(header.EthernetAddressFromMulticastIPv6Address(group)))
	}
	return e.send(mac, header.IPv6ProtocolNumber, e.solicitation(addrPortOf(group, 0).Addr(), target))
}

func (e *Endpoint) solicitation(group, target netip.Addr) []byte {
	option := header.NDPOptionsSerializer{header.NDPSourceLinkLayerAddressOption(e.cfg.MAC[:])}
	length := header.ICMPv6NeighborSolicitMinimumSize + option.Length()
	packet := newPacket(header.ICMPv6ProtocolNumber, e.cfg.AddressIPv6, group, length)
	header.IPv6(packet).SetHopLimit(header.NDPHopLimit)
	message := header.ICMPv6(packet[header.IPv6MinimumSize:])
	message.SetType(header.ICMPv6NeighborSolicit)
	ns := header.NDPNeighborSolicit(message.MessageBody())
	ns.SetTargetAddress(stackAddress(target))
	ns.Options().Serialize(option)
	message.SetChecksum(transportChecksum(message, e.cfg.AddressIPv6, group, header.ICMPv6ProtocolNumber))
	return packet
}

// send sends a network-layer packet in a frame to mac. It returns net.ErrClosed after Close.
func (e *Endpoint) send(mac vswitch.MAC, protocol tcpip.NetworkProtocolNumber, packet []byte) error {
	if !e.beginTask() {
		return net.ErrClosed
	}
	defer e.tasks.Done()
	return stackError(e.stack.WritePacketToRemote(nicID, tcpip.LinkAddress(mac[:]), protocol, buffer.MakeWithData(packet)))
}
