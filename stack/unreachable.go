package stack

import (
	"net/netip"

	"github.com/podswitch/podswitch/vnet"
)

// portUnreachable returns a packet with the ICMP error about a datagram from a client (RFC 1122, section 4.1.3.1; RFC 4443, section 3.1).
// Its quote has the addresses, ports and the payload of the datagram; the rest of its header is not known any more.
func portUnreachable(client, local netip.AddrPort, payload []byte) []byte {
	const headerLen = 8 // of the message, before the quote
	f := familyOf(local.Addr())
	quote := datagram(client, local, payload)
	quote = quote[:min(len(quote), f.maxError-f.headerLen-headerLen)]
	packet := newPacket(f.icmp, local.Addr(), client.Addr(), headerLen+len(quote))
	message := packet[f.headerLen:]
	message[0], message[1] = f.unreachable, f.noPort
	copy(message[headerLen:], quote)
	sum := vnet.Checksum(message, 0)
	if f == familyIPv6 {
		sum = transportChecksum(message, local.Addr(), client.Addr(), f.icmp)
	}
	message[offICMPChecksum], message[offICMPChecksum+1] = byte(sum>>8), byte(sum)
	return packet
}
