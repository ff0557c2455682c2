package stack

import (
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// The settings of the network stack: one interface, one address as a /32, one route.

// nicID names the only interface.
const nicID tcpip.NICID = 1

// Buffers of a connection in bytes. The largest are the product of 10 Gbit/s and 0.8 ms; with maxConns connections that a
// hostile peer keeps full, a kept port takes 512 MiB at most.
const (
	minBuffer     = 4 << 10
	defaultBuffer = 256 << 10
	maxBuffer     = 1 << 20
)

// timeWait is how long a closed connection is remembered. It is shorter than the usual 60 s because the connections are
// those of probes: many, small, and over a network where nothing is delayed for long.
const timeWait = 10 * time.Second

// makeStack fills in e.stack.
func (e *Endpoint) makeStack() error {
	e.stack = netstack.New(netstack.Options{
		NetworkProtocols: []netstack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []netstack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4,
		},
		Clock: e.cfg.clock,
		// With HandleLocal a packet that comes in with our own source address is dropped.
		HandleLocal: true,
	})
	if err := e.setTCPOptions(); err != nil {
		return err
	}
	// Netstack allows this during set-up only, so the handler looks up what is served at the time.
	e.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, e.served.handle)
	if err := e.stack.CreateNIC(nicID, e.link); err != nil {
		return fmt.Errorf("create the interface: %w", stackError(err))
	}
	address := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: stackAddress(e.cfg.Address).WithPrefix(),
	}
	if err := e.stack.AddProtocolAddress(nicID, address, netstack.AddressProperties{}); err != nil {
		return fmt.Errorf("add the address: %w", stackError(err))
	}
	e.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nicID}})
	return nil
}

// setTCPOptions sets what differs from netstack's defaults, or must not follow them.
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

// stackAddress converts an IPv4 address.
func stackAddress(a netip.Addr) tcpip.Address { return tcpip.AddrFrom4(a.As4()) }

// full returns the endpoint's address with a port, as netstack wants it to bind to.
func (e *Endpoint) full(port uint16) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nicID, Addr: stackAddress(e.cfg.Address), Port: port}
}
