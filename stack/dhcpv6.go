package stack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/podswitch/podswitch/vswitch"
	"go.uber.org/zap"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// DHCPv6 transport. Messages bypass netstack both ways: the service needs the MAC of the client, which netstack's sockets do not tell, and
// replies go to that MAC without neighbour discovery.

// UDP ports and the group of servers (RFC 8415, sections 7.1 and 7.2).
const (
	dhcpv6ClientPort = 546
	dhcpv6ServerPort = 547
)

var allServers = netip.AddrFrom16([16]byte{0xff, 2, 13: 1, 15: 2})

// dhcpv6Waiting bounds the messages that wait for the handler.
const dhcpv6Waiting = 16

// A DHCPv6Handler answers one DHCPv6 message that the station with the given MAC sent from an address to another. A nil reply sends nothing.
// The message is valid until the handler returns, and the endpoint copies the reply before the next call. One goroutine calls the handler, and a panic
// in it ends the process.
type DHCPv6Handler func(message []byte, from, to netip.Addr, mac vswitch.MAC) (reply []byte)

// A dhcpv6Service passes messages to a handler.
type dhcpv6Service struct {
	endpoint *Endpoint
	handle   DHCPv6Handler
	messages chan dhcpv6Message
}

type dhcpv6Message struct {
	payload  []byte
	from, to netip.Addr
	mac      vswitch.MAC
}

// ServeDHCPv6 passes the messages to UDP port 547, to Config.AddressIPv6 and to the group ff02::1:2, to handle until Close. Replies go to
// port 546 of the message's source address and MAC. Messages beyond 16 that wait are dropped. ServeDHCPv6 returns at once: an error if the
// endpoint has no IPv6 address or serves DHCPv6 already, and net.ErrClosed after Close.
func (e *Endpoint) ServeDHCPv6(handle DHCPv6Handler) error {
	s := &dhcpv6Service{endpoint: e, handle: handle, messages: make(chan dhcpv6Message, dhcpv6Waiting)}
	if !e.cfg.AddressIPv6.IsValid() || !e.dhcpv6.CompareAndSwap(nil, s) {
		return errors.New("serve DHCPv6: want an IPv6 address, and no service before")
	}
	if err := e.startTask(s.serve); err != nil {
		return fmt.Errorf("serve DHCPv6: %w", err)
	}
	return nil
}

// takeDHCPv6 passes the DHCPv6 message in an admitted frame to the service, and reports whether the frame has one. The checksum must be
// complete; a message whose checksum is wrong is dropped.
func (e *Endpoint) takeDHCPv6(frame []byte) bool {
	s := e.dhcpv6.Load()
	if s == nil || binary.BigEndian.Uint16(frame[offEthertype:]) != ethertypeIPv6 {
		return false
	}
	p, ok := familyIPv6.parse(frame[offNetwork:], false)
	if !ok || p.isFragment || p.protocol != header.UDPProtocolNumber || len(p.payload) < header.UDPMinimumSize {
		return false
	}
	datagram := header.UDP(p.payload)
	if datagram.DestinationPort() != dhcpv6ServerPort || int(datagram.Length()) != len(datagram) {
		return false
	}
	from, to := addrPortOf(p.source, 0).Addr(), addrPortOf(p.destination, 0).Addr()
	if transportChecksum(datagram, from, to, header.UDPProtocolNumber) == 0 {
		s.queue(dhcpv6Message{append([]byte(nil), datagram.Payload()...), from, to, vswitch.MAC(frame[6:12])})
	}
	return true
}

func (s *dhcpv6Service) queue(m dhcpv6Message) {
	select {
	case s.messages <- m:
	default:
		s.endpoint.log.Warn("DHCPv6 message dropped: too many", zap.Stringer("mac", m.mac))
	}
}

// serve answers messages until the endpoint closes.
func (s *dhcpv6Service) serve() {
	e := s.endpoint
	server := netip.AddrPortFrom(e.cfg.AddressIPv6, dhcpv6ServerPort)
	for {
		select {
		case <-e.ctx.Done():
			return
		case m := <-s.messages:
			reply := s.handle(m.payload, m.from, m.to, m.mac)
			if reply == nil {
				continue
			}
			if err := e.sendDatagram(m.mac, server, netip.AddrPortFrom(m.from, dhcpv6ClientPort), reply); err != nil && e.ctx.Err() == nil {
				e.log.Warn("DHCPv6 reply not sent", zap.Stringer("to", m.from), zap.Stringer("mac", m.mac), zap.Error(err))
			}
		}
	}
}
