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

// Probe sends an ARP request (RFC 826) for target to the MAC mac, from the endpoint's address and MAC. The endpoint ignores the reply: the
// forwarder sees it. Probe does nothing if target is not IPv4 or the endpoint is closed.
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

// send sends a network-layer packet in a frame to mac. It returns net.ErrClosed after Close.
func (e *Endpoint) send(mac vswitch.MAC, protocol tcpip.NetworkProtocolNumber, packet []byte) error {
	if !e.beginTask() {
		return net.ErrClosed
	}
	defer e.tasks.Done()
	return stackError(e.stack.WritePacketToRemote(nicID, tcpip.LinkAddress(mac[:]), protocol, buffer.MakeWithData(packet)))
}
