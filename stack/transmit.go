package stack

import (
	"encoding/binary"
	"net/netip"
	"runtime"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	"go.uber.org/zap"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// From the switch to netstack:
//
//  1. admit: packets to the endpoint's addresses, UDP broadcasts (DHCP) and ARP requests for the address. Netstack would also answer
//     for 255.255.255.255 and groups that it always joins. DHCPv6 messages go to their service (dhcpv6.go), because it needs the MAC.
//  2. inbound: copy the frame, which is borrowed, because netstack retains packets; complete the checksum in the copy, because
//     netstack verifies checksums and cannot mark one as unfinished.
//  3. screen: drop and change what netstack must not believe (screen.go, screentcp.go).
//  4. inject: netstack's answer is in the queue when this returns, or another goroutine of netstack answers later.
//
// A frame of several UDP datagrams is segmented before step 2 (datagrams.go).

// Offsets of header fields in bytes from the start of the frame (RFC 791, section 3.1; RFC 826).
const (
	offEthertype      = 12
	offNetwork        = header.EthernetMinimumSize
	offProtocol       = offNetwork + 9
	offSource         = offNetwork + 12
	offDestination    = offNetwork + 16
	offARPOperation   = offNetwork + 6
	offARPSenderMAC   = offNetwork + 8
	offARPTarget      = offNetwork + 24
	endOfIPv4         = offNetwork + header.IPv4MinimumSize
	endOfARP          = offNetwork + header.ARPSize
	arpRequest        = 1
	limitedBroadcast  = 0xffffffff
	loopbackNet       = 127 // the first byte of 127.0.0.0/8
	ethertypeIPv4     = uint16(header.IPv4ProtocolNumber)
	ethertypeIPv6     = uint16(header.IPv6ProtocolNumber)
	ethertypeARP      = uint16(header.ARPProtocolNumber)
	offIPv6Source     = offNetwork + 8
	offIPv6To         = offNetwork + 24
	endOfIPv6         = offNetwork + header.IPv6MinimumSize
	protocolUDP       = uint8(header.UDPProtocolNumber)
	ethernetMulticast = 1 // in the first byte of a MAC
)

// Transmit implements vswitch.Port: it delivers frames to netstack. Then it yields the processor, so that the goroutine in Receive can
// forward the answers before the caller waits in a system call.
func (e *Endpoint) Transmit(batch []vswitch.Frame) {
	e.deliverAll(batch)
	runtime.Gosched()
}

func (e *Endpoint) deliverAll(batch []vswitch.Frame) {
	e.gate.RLock()
	defer e.gate.RUnlock()
	dispatcher := e.link.networkDispatcher()
	if e.closed || dispatcher == nil {
		e.counters.Drop(vswitch.PortDown, len(batch))
		return
	}
	for i := range batch {
		if reason, ok := e.admit(batch[i].Data); !ok {
			e.counters.Drop(reason, 1)
			continue
		}
		e.deliver(dispatcher, &batch[i])
	}
}

// admit reports whether the endpoint accepts a frame, and otherwise the reason for the drop.
func (e *Endpoint) admit(frame []byte) (vswitch.Reason, bool) {
	if len(frame) < header.EthernetMinimumSize {
		return vswitch.Short, false
	}
	switch binary.BigEndian.Uint16(frame[offEthertype:]) {
	case ethertypeIPv4:
		if len(frame) < endOfIPv4 {
			return vswitch.BadIPv4, false
		}
		return vswitch.Unwanted, e.cfg.Address.IsValid() && e.wantsIPv4(frame)
	case ethertypeIPv6:
		if len(frame) < endOfIPv6 {
			return vswitch.BadIPv6, false
		}
		return vswitch.Unwanted, e.cfg.AddressIPv6.IsValid() && e.wantsIPv6(frame)
	case ethertypeARP:
		return vswitch.Unwanted, e.cfg.ARP && e.wantsARP(frame)
	}
	return vswitch.Unwanted, false
}

// wantsIPv4 reports whether an IPv4 packet is for the endpoint. The frame must have a full IPv4 header. A loopback source is dropped here
// because netstack, which drops it too, would write to standard error.
func (e *Endpoint) wantsIPv4(frame []byte) bool {
	if frame[offSource] == loopbackNet {
		return false
	}
	to := [4]byte(frame[offDestination:])
	return to == e.cfg.Address.As4() ||
		binary.BigEndian.Uint32(to[:]) == limitedBroadcast && frame[offProtocol] == protocolUDP
}

// wantsIPv6 reports whether an IPv6 packet is for the endpoint. The frame must have a full IPv6 header.
func (e *Endpoint) wantsIPv6(frame []byte) bool {
	source, to := netip.AddrFrom16([16]byte(frame[offIPv6Source:])), netip.AddrFrom16([16]byte(frame[offIPv6To:]))
	return !source.IsLoopback() && (to == e.cfg.AddressIPv6 || to == allServers && e.dhcpv6.Load() != nil)
}

// wantsARP reports whether a frame is an ARP request for the endpoint's address, from a unicast MAC.
func (e *Endpoint) wantsARP(frame []byte) bool {
	return len(frame) >= endOfARP &&
		binary.BigEndian.Uint16(frame[offARPOperation:]) == arpRequest &&
		frame[offARPSenderMAC]&ethernetMulticast == 0 &&
		[4]byte(frame[offARPTarget:]) == e.cfg.Address.As4()
}

// deliver passes an admitted frame to netstack and counts it.
func (e *Endpoint) deliver(dispatcher netstack.NetworkDispatcher, frame *vswitch.Frame) {
	if frame.Offload.GSOType&(vnet.GSOTunnelIPv4|vnet.GSOTunnelIPv6) != 0 || frame.Offload.GSOType == vnet.GSOUDPL4 {
		e.deliverDatagrams(dispatcher, frame)
		return
	}
	if reason, ok := e.inject(dispatcher, frame); !ok {
		e.counters.Drop(reason, 1)
		return
	}
	e.counters.Sent(1, len(frame.Data))
}

// inject passes a copy of a frame to netstack, or returns the reason for the drop. A panic of netstack on this goroutine drops the frame.
func (e *Endpoint) inject(dispatcher netstack.NetworkDispatcher, frame *vswitch.Frame) (reason vswitch.Reason, ok bool) {
	view, reason := inbound(frame)
	if view == nil {
		return reason, false
	}
	defer func() {
		if fault := recover(); fault != nil {
			reason, ok = vswitch.EndpointFault, false
			e.log.Error("network stack panic, frame dropped", zap.Any("fault", fault), zap.Stack("stack"),
				zap.Any("addresses", e.cfg.addresses()))
		}
	}()
	if e.takeDHCPv6(view.AsSlice()) {
		view.Release()
		return 0, true
	}
	if view, ok = e.screen(view); !ok {
		view.Release()
		return vswitch.Unwanted, false
	}
	pkt := netstack.NewPacketBuffer(netstack.PacketBufferOptions{Payload: buffer.MakeWithView(view)})
	pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	pkt.PktType = packetType(frame.Data)
	defer pkt.DecRef()
	protocol := tcpip.NetworkProtocolNumber(binary.BigEndian.Uint16(frame.Data[offEthertype:]))
	dispatcher.DeliverNetworkPacket(protocol, pkt)
	return 0, true
}

// inbound returns a copy of the frame whose checksum is complete, or the reason for the drop.
func inbound(frame *vswitch.Frame) (*buffer.View, vswitch.Reason) {
	offload := frame.Offload
	view := buffer.NewViewWithData(frame.Data)
	if offload.Flags&vnet.FlagNeedsChecksum != 0 {
		if !vnet.Check(&offload, view.AsSlice()) {
			view.Release()
			return nil, vswitch.BadOffload
		}
		vnet.Complete(offload, view.AsSlice())
	}
	return view, 0
}

// packetType classifies a frame by its destination MAC. Any unicast MAC is the endpoint's: the forwarder decides by IP address.
func packetType(frame []byte) tcpip.PacketType {
	switch to := vswitch.MAC(frame[:6]); {
	case to == vswitch.Broadcast:
		return tcpip.PacketBroadcast
	case to.IsMulticast():
		return tcpip.PacketMulticast
	}
	return tcpip.PacketHost
}
