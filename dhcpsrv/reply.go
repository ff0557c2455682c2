package dhcpsrv

import (
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Encoding a reply. The library writes the fixed part; the options are written here, because the library sorts them by
// code and the client may have asked for another order.

const (
	clientPort   = 68
	ipUDPHeaders = 28  // option 57 counts them (RFC 2131, section 2)
	minReplySize = 300 // BOOTP's message size, below which some clients and relays drop
	maxInstance  = 255 // value bytes of one option instance
	ethernetMTU  = 1500
)

// reply builds the Result that sends a message of the kind. lease holds the options that depend on the kind; a NAK
// carries nothing else (RFC 2131, table 3).
func (x *exchange) reply(kind dhcpv4.MessageType, yiaddr netip.Addr, lease []option) Result {
	server := x.offer.Server.As4()
	options := []option{{optMessageType, []byte{byte(kind)}}, {optServer, server[:]}}
	options = append(options, lease...)
	if len(x.request.clientID) > 0 {
		options = append(options, option{optClientID, x.request.clientID})
	}
	if kind != dhcpv4.MessageTypeNak {
		options = append(options, x.configuration()...)
	}
	result := Result{Received: nameOf(x.request.kind), Sent: nameOf(kind), Lease: x.query.Lease}
	result.Reply = x.encode(kind, yiaddr, fit(options, x.room()))
	result.To, result.ToMAC = x.destination(kind)
	return result
}

// room returns how many bytes of options the client takes in one datagram, without the end mark.
func (x *exchange) room() int {
	mtu := x.offer.MTU
	if mtu == 0 {
		mtu = ethernetMTU
	}
	return max(sizeFloor, min(x.request.maxSize, mtu)) - ipUDPHeaders - headerSize - 1
}

// destination follows RFC 2131, section 4.1: to the address that the client has; else to everybody if it asks for that
// or is refused; else to the address that it is about to have, at its MAC.
func (x *exchange) destination(kind dhcpv4.MessageType) (netip.AddrPort, MAC) {
	refused := kind == dhcpv4.MessageTypeNak
	if refused || x.request.broadcast && !x.hasAddress() {
		return netip.AddrPortFrom(everybody(), clientPort), MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	return netip.AddrPortFrom(x.offer.Address.Addr(), clientPort), x.request.mac
}

// encode writes the message, padded to the size of BOOTP.
func (x *exchange) encode(kind dhcpv4.MessageType, yiaddr netip.Addr, options []option) []byte {
	header := dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootReply,
		HWType:        iana.HWTypeEthernet,
		TransactionID: x.request.xid,
		YourIPAddr:    net.IP(yiaddr.AsSlice()),
		ClientHWAddr:  x.request.mac[:],
	}
	if x.request.broadcast {
		header.Flags = broadcastFlag
	}
	if kind == dhcpv4.MessageTypeAck && x.hasAddress() {
		header.ClientIPAddr = net.IP(x.request.ciaddr.AsSlice())
	}
	if kind != dhcpv4.MessageTypeNak {
		header.ServerIPAddr = net.IP(x.offer.next.AsSlice())
		header.BootFileName = x.offer.bootFileField()
	}
	message := header.ToBytes()[:headerSize]
	for _, o := range options {
		message = appendOption(message, o)
	}
	message = append(message, optEnd)
	for len(message) < minReplySize {
		message = append(message, optPad)
	}
	return message
}

// appendOption writes one option, in as many instances as it needs (RFC 3396), and nothing for an empty value.
func appendOption(message []byte, o option) []byte {
	for value := o.value; len(value) > 0; {
		n := min(len(value), maxInstance)
		message = append(message, o.code, uint8(n))
		message = append(message, value[:n]...)
		value = value[n:]
	}
	return message
}
