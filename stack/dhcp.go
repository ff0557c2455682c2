package stack

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	"go.uber.org/zap"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Carrying DHCP. Requests come through an ordinary UDP socket. Replies do not: the client has no address yet, and the MAC
// to send to is in the request, not in a neighbour table. They are built here and sent as they are.

// dhcpPort is the server's UDP port (RFC 2131, section 4.1).
const dhcpPort = 67

// replyTTL is the time to live of a reply, in hops.
const replyTTL = 64

// maxDatagram is the largest UDP payload, in bytes.
const maxDatagram = 65535 - header.IPv4MinimumSize - header.UDPMinimumSize

// A DHCPHandler answers one DHCP message: with the reply, the address and UDP port to send it to, and the MAC that the
// frame goes to. A nil reply is none. The message is valid until the handler returns. One goroutine calls it, and does not
// recover from its panics.
type DHCPHandler func(message []byte) (reply []byte, to netip.AddrPort, mac vswitch.MAC)

// ServeDHCP hands what arrives at UDP port 67, by unicast or broadcast, to handle until Close. Replies leave from
// Config.Address, port 67. It returns an error when the port is taken, and net.ErrClosed after Close.
func (e *Endpoint) ServeDHCP(handle DHCPHandler) error {
	// Not bound to the address, because netstack gives broadcasts to such sockets only.
	address := tcpip.FullAddress{NIC: nicID, Port: dhcpPort}
	if err := e.serveUDP(address, func(socket *gonet.UDPConn) { e.serveDHCP(socket, handle) }); err != nil {
		return fmt.Errorf("serve DHCP: %w", err)
	}
	return nil
}

// serveDHCP reads until the socket is closed.
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

// reply sends a DHCP reply in one frame.
func (e *Endpoint) reply(payload []byte, to netip.AddrPort, mac vswitch.MAC) error {
	length := header.IPv4MinimumSize + header.UDPMinimumSize + len(payload)
	switch {
	case !to.Addr().Is4() || to.Port() == 0:
		return fmt.Errorf("destination %s: want an IPv4 address and a port", to)
	case mac.IsZero():
		return errors.New("no destination MAC")
	case length > e.cfg.MTU:
		return fmt.Errorf("packet of %d bytes: want at most the MTU of %d", length, e.cfg.MTU)
	}
	from := netip.AddrPortFrom(e.cfg.Address, dhcpPort)
	return e.send(mac, header.IPv4ProtocolNumber, datagram(from, to, payload))
}

// datagram builds a UDP packet from its IPv4 header on. Its checksum is complete: DHCP clients that read raw frames verify
// it and know no offloads.
func datagram(from, to netip.AddrPort, payload []byte) []byte {
	packet := make([]byte, header.IPv4MinimumSize+header.UDPMinimumSize+len(payload))
	ip := header.IPv4(packet)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(packet)),
		Flags:       header.IPv4FlagDontFragment,
		TTL:         replyTTL,
		Protocol:    uint8(header.UDPProtocolNumber),
		SrcAddr:     stackAddress(from.Addr()),
		DstAddr:     stackAddress(to.Addr()),
	})
	ip.SetChecksum(vnet.Checksum(packet[:header.IPv4MinimumSize], 0))
	udp := header.UDP(packet[header.IPv4MinimumSize:])
	udp.Encode(&header.UDPFields{SrcPort: from.Port(), DstPort: to.Port(), Length: uint16(len(udp))})
	copy(udp.Payload(), payload)
	source, destination := from.Addr().As4(), to.Addr().As4()
	sum := vnet.Checksum(udp, vnet.PseudoSum(source[:], destination[:], uint8(header.UDPProtocolNumber), len(udp)))
	if sum == 0 {
		sum = 0xffff // 0 means "none" (RFC 768)
	}
	udp.SetChecksum(sum)
	return packet
}
