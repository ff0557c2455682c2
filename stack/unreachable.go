package stack

import (
	"net/netip"

	"github.com/podswitch/podswitch/vnet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// maxICMPError is the length in bytes of the largest ICMP error (RFC 1812, section 4.3.2.3).
const maxICMPError = 576

// portUnreachable returns an IPv4 packet with the ICMP error about a datagram from a client (RFC 1122, section 4.1.3.1). Its quote has the
// addresses, ports and the payload of the datagram; the rest of its header is not known any more.
func portUnreachable(client, local netip.AddrPort, payload []byte) []byte {
	quote := datagram(client, local, payload)
	quote = quote[:min(len(quote), maxICMPError-header.IPv4MinimumSize-header.ICMPv4MinimumSize)]
	packet := newPacket(header.ICMPv4ProtocolNumber, local.Addr(), client.Addr(), header.ICMPv4MinimumSize+len(quote))
	icmp := header.ICMPv4(packet[header.IPv4MinimumSize:])
	icmp.SetType(header.ICMPv4DstUnreachable)
	icmp.SetCode(header.ICMPv4PortUnreachable)
	copy(icmp.Payload(), quote)
	icmp.SetChecksum(vnet.Checksum(icmp, 0))
	return packet
}
