package stack

import (
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// The configuration of the network stack: one interface, one address of each family as a /32 or /128, one route of each.
//
// IPv6 is without neighbour discovery, router solicitations, MLD, duplicate address detection and addresses of its own: the forwarder
// answers and resolves neighbours.

// nicID is the only interface.
const nicID tcpip.NICID = 1

// Buffer sizes of a connection in bytes, for each direction. The largest is the product of 10 Gbit/s and 0.8 ms. With netstack's own
// maximum of 4 MiB, 256 connections could hold 2 GiB.
const (
	minBuffer     = 4 << 10
	defaultBuffer = 256 << 10
	maxBuffer     = 1 << 20
	reducedBuffer = 64 << 10 // of a connection beyond largeBufferConns
)

// datagramBuffer is the buffer size of a UDP socket in bytes, for each direction: the largest datagram and its overhead.
const datagramBuffer = 128 << 10

// The rate of ICMP errors a second, and their burst. RFC 1812, section 4.3.2.8, requires a limit; these are the values of Linux (icmp(7)).
const (
	icmpRate  = 1000
	icmpBurst = 50
)

// timeWait is the time that a connection stays in TIME-WAIT. It is shorter than the usual 60 s, because most connections are short
// health checks over a network without long delays.
const timeWait = 10 * time.Second

// makeStack sets e.stack.
func (e *Endpoint) makeStack() error {
	e.stack = netstack.New(netstack.Options{
		NetworkProtocols: []netstack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol, ipv6.NewProtocolWithOptions(ipv6.Options{})},
		TransportProtocols: []netstack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
		Clock: e.cfg.clock,
		// HandleLocal makes netstack drop packets that arrive with the endpoint's own source address.
		HandleLocal: true,
	})
	if err := e.setLimits(); err != nil {
		return err
	}
	if err := e.setTCPOptions(); err != nil {
		return err
	}
	// Netstack allows this only during setup, so the handler looks the port up for each segment.
	e.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, e.served.handle)
	if err := e.stack.CreateNIC(nicID, e.link); err != nil {
		return fmt.Errorf("create the interface: %w", stackError(err))
	}
	for _, a := range e.cfg.addresses() {
		address := tcpip.ProtocolAddress{Protocol: familyOf(a).number, AddressWithPrefix: stackAddress(a).WithPrefix()}
		if err := e.stack.AddProtocolAddress(nicID, address, netstack.AddressProperties{}); err != nil {
			return fmt.Errorf("add the address %s: %w", a, stackError(err))
		}
	}
	e.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nicID}, {Destination: header.IPv6EmptySubnet, NIC: nicID}})
	return nil
}

// setLimits sets the limits of ICMP and UDP.
func (e *Endpoint) setLimits() error {
	e.stack.SetICMPLimit(icmpRate)
	e.stack.SetICMPBurst(icmpBurst)
	for _, option := range []any{
		tcpip.ReceiveBufferSizeOption{Min: minBuffer, Default: datagramBuffer, Max: datagramBuffer},
		tcpip.SendBufferSizeOption{Min: minBuffer, Default: datagramBuffer, Max: datagramBuffer},
	} {
		if err := e.stack.SetOption(option); err != nil {
			return fmt.Errorf("set %T: %w", option, stackError(err))
		}
	}
	return nil
}

// setTCPOptions sets options that differ from netstack's defaults, or that must not change with them.
func (e *Endpoint) setTCPOptions() error {
	sack := tcpip.TCPSACKEnabled(true)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	wait := tcpip.TCPTimeWaitTimeoutOption(timeWait)
	for _, option := range []tcpip.SettableTransportProtocolOption{
		&sack, &moderate, &wait,
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: minBuffer, Default: defaultBuffer, Max: maxBuffer},
		&tcpip.TCPSendBufferSizeRangeOption{Min: minBuffer, Default: defaultBuffer, Max: maxBuffer},
	} {
		if err := e.stack.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("set %T: %w", option, stackError(err))
		}
	}
	return nil
}

// stackAddress converts an address.
func stackAddress(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

// addrPortOf converts an address with a port.
func addrPortOf(a tcpip.Address, port uint16) netip.AddrPort {
	address, _ := netip.AddrFromSlice(a.AsSlice())
	return netip.AddrPortFrom(address, port)
}

// full returns an address with a port, for bind.
func full(local netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nicID, Addr: stackAddress(local.Addr()), Port: local.Port()}
}
