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

// Probe sends one ARP request for target to the station mac, from the endpoint's own address and MAC (RFC 826). Whether it
// is answered, the forwarder sees. It does nothing when target is not IPv4 or the endpoint is closed.
func (e *Endpoint) Probe(mac vswitch.MAC, target netip.Addr) {
	if !target.Is4() {
		return
	}
	packet := make(header.ARP, header.ARPSize)
	packet.SetIPv4OverEthernet()
	packet.SetOp(header.ARPRequest)
	sender, asked := e.cfg.Address.As4(), target.As4()
	copy(packet.HardwareAddressSender(), e.cfg.MAC[:])
	copy(packet.ProtocolAddressSender(), sender[:])
	copy(packet.ProtocolAddressTarget(), asked[:])
	if err := e.send(mac, header.ARPProtocolNumber, packet); err != nil {
		e.log.Debug("probe not sent", zap.Stringer("mac", mac), zap.Error(err))
	}
}

// send sends a packet with its headers from the network layer on to the station mac. It returns net.ErrClosed after Close.
func (e *Endpoint) send(mac vswitch.MAC, protocol tcpip.NetworkProtocolNumber, packet []byte) error {
	if !e.begin() {
		return net.ErrClosed
	}
	defer e.tasks.Done()
	return stackError(e.stack.WritePacketToRemote(nicID, tcpip.LinkAddress(mac[:]), protocol, buffer.MakeWithData(packet)))
}
