package dhcpsrv

import (
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Encoding a reply. The library writes the fixed part. The options are written here in the order that the client asked for; the library
// would sort them by code.

const (
	clientPort   = 68
	ipUDPHeaders = 28  // option 57 counts them (RFC 2131, section 2)
	minReplySize = 300 // the size of a BOOTP message (RFC 951); some clients drop shorter ones
	maxInstance  = 255 // bytes of value in one option instance
	ethernetMTU  = 1500
)

// reply returns the Result with a message of the kind. lease are the options that depend on the kind; a NAK has no others (RFC 2131,
// table 3).
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
	result.Reply = x.encode(kind, yiaddr, x.offer.omitBeyond(options, x.room()))
	result.To, result.ToMAC = x.destination(kind)
	return result
}

// room returns the length of the options that the client receives in one datagram, without the end option.
func (x *exchange) room() int {
	mtu := x.offer.MTU
	if mtu == 0 {
		mtu = ethernetMTU
	}
	return max(sizeFloor, min(x.request.maxSize, mtu)) - ipUDPHeaders - headerSize - 1
}

// destination follows RFC 2131, section 4.1: a client that has the address gets unicast; otherwise a NAK, and the answer to a client
// that set the broadcast flag, are broadcast; other answers go to the address that the client is about to have, at its MAC.
func (x *exchange) destination(kind dhcpv4.MessageType) (netip.AddrPort, MAC) {
	refused := kind == dhcpv4.MessageTypeNak
	if refused || x.request.broadcast && !x.hasAddress() {
		return netip.AddrPortFrom(limitedBroadcast(), clientPort), MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	return netip.AddrPortFrom(x.offer.Address.Addr(), clientPort), x.request.mac
}

// encode returns the message, padded to minReplySize.
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
		header.BootFileName = bootFileField(x.bootFile())
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

// appendOption appends an option in as many instances as it needs (RFC 3396), and nothing for an empty value.
func appendOption(message []byte, o option) []byte {
	for value := o.value; len(value) > 0; {
		n := min(len(value), maxInstance)
		message = append(message, o.code, uint8(n))
		message = append(message, value[:n]...)
		value = value[n:]
	}
	return message
}
