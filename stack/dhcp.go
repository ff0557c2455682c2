package stack

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/podswitch/podswitch/vswitch"
	"go.uber.org/zap"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// DHCP transport. Requests arrive at a UDP socket of netstack. Replies bypass it: the client has no address yet, and its MAC is in the
// request and not in a neighbour table. This file builds the whole packet.

// dhcpPort is the server's UDP port (RFC 2131, section 4.1).
const dhcpPort = 67

// replyTTL is the time to live of a reply.
const replyTTL = 64

// maxDatagram is the largest UDP payload, in bytes.
const maxDatagram = 65535 - header.IPv4MinimumSize - header.UDPMinimumSize

// A DHCPHandler answers one DHCP message. It returns the reply, its IPv4 destination and UDP port, and the destination MAC of its frame;
// a nil reply sends nothing. The message is valid until the handler returns, and the endpoint copies the reply before the next call. One
// goroutine calls the handler, and a panic in it ends the process.
type DHCPHandler func(message []byte) (reply []byte, to netip.AddrPort, mac vswitch.MAC)

// ServeDHCP passes the messages to UDP port 67, unicast and broadcast, to handle until Close. Replies are sent from Config.Address, port
// 67. ServeDHCP returns at once: an error if the port is in use, and net.ErrClosed after Close.
func (e *Endpoint) ServeDHCP(handle DHCPHandler) error {
	// Netstack delivers broadcasts only to sockets that are bound to no address.
	address := tcpip.FullAddress{NIC: nicID, Port: dhcpPort}
	if err := e.serveUDP(address, func(socket *gonet.UDPConn) { e.serveDHCP(socket, handle) }); err != nil {
		return fmt.Errorf("serve DHCP: %w", err)
	}
	return nil
}

// serveDHCP serves messages until the socket is closed.
func (e *Endpoint) serveDHCP(socket *gonet.UDPConn, handle DHCPHandler) {
	message := make([]byte, maxDatagram)
	for {
		n, _, err := socket.ReadFrom(message)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			e.log.Warn("DHCP message not read", zap.Error(err))
			continue
		}
		reply, to, mac := handle(message[:n])
		if reply == nil {
			continue
		}
		if err := e.reply(reply, to, mac); err != nil {
			e.log.Warn("DHCP reply not sent", zap.Stringer("to", to), zap.Stringer("mac", mac), zap.Error(err))
		}
	}
}

// sendDatagram sends a UDP datagram in one frame to mac.
func (e *Endpoint) sendDatagram(mac vswitch.MAC, from, to netip.AddrPort, payload []byte) error {
	packet := datagram(from, to, payload)
	if len(packet) > e.cfg.MTU {
		return fmt.Errorf("packet of %d bytes: want at most the MTU of %d", len(packet), e.cfg.MTU)
	}
	return e.send(mac, familyOf(from.Addr()).number, packet)
}

// reply sends a DHCP reply as one frame.
func (e *Endpoint) reply(payload []byte, to netip.AddrPort, mac vswitch.MAC) error {
	switch {
	case !to.Addr().Is4() || to.Port() == 0:
		return fmt.Errorf("destination %s: want an IPv4 address and a port", to)
	case mac.IsZero():
		return errors.New("no destination MAC")
	}
	return e.sendDatagram(mac, netip.AddrPortFrom(e.cfg.Address, dhcpPort), to, payload)
}
