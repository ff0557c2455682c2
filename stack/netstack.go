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

// Buffers of a connection in bytes, for each direction. The largest are the product of 10 Gbit/s and 0.8 ms. Netstack's own
// maximum of 4 MiB would let 256 connections hold 2 GiB.
const (
	minBuffer     = 4 << 10
	defaultBuffer = 256 << 10
	maxBuffer     = 1 << 20
	crowdBuffer   = 64 << 10 // of a connection that is one of many
)

// datagramBuffer is the buffer of a UDP socket in bytes, for each direction: the largest datagram and what keeping it takes.
const datagramBuffer = 128 << 10

// ICMP errors in a second, and at once (RFC 1812, section 4.3.2.8, wants a limit; the figures are Linux's, icmp(7)).
const (
	icmpRate  = 1000
	icmpBurst = 50
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
	if err := e.setLimits(); err != nil {
		return err
	}
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

// setLimits bounds what is not TCP's.
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
