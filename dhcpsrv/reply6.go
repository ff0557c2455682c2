package dhcpsrv

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// Encoding a DHCPv6 reply. The library's NewReplyFromMessage is of no use: it copies no status, and its IAs would be the client's.

const (
	clientPort6    = 546
	ipv6Header     = 40 // bytes
	ipv6UDPHeaders = ipv6Header + 8
	maxPreference  = 255 // the client sends its REQUEST at once (RFC 8415, section 18.2.1)
	maxOthers      = 8   // addresses with lifetimes of 0 in one reply; it then fits into 1280 bytes whatever the client sends
)

// An option6 is a DHCPv6 option.
type option6 struct {
	code  dhcpv6.OptionCode
	value []byte
}

// size returns the length of opt in a message.
func (opt option6) size() int { return optionHeader + len(opt.value) }

// appendOptions6 appends options to a message.
func appendOptions6(message []byte, options []option6) []byte {
	for _, o := range options {
		message = binary.BigEndian.AppendUint16(message, uint16(o.code))
		message = binary.BigEndian.AppendUint16(message, uint16(len(o.value)))
		message = append(message, o.value...)
	}
	return message
}

// reply returns the Result6 with a message of the kind: identifiers, the options that the protocol requires, and as many of the optional
// ones as fit the MTU.
func (x *exchange6) reply(kind dhcpv6.MessageType, required, optional []option6) Result6 {
	options := []option6{{dhcpv6.OptionServerID, x.offer.duid()}}
	if x.request.duid != nil {
		options = append([]option6{{dhcpv6.OptionClientID, x.request.duid}}, options...)
	}
	message := append([]byte{byte(kind)}, x.request.xid[:]...)
	message = appendOptions6(message, append(options, required...))
	room := x.room() - len(message)
	for _, o := range optional {
		if o.size() <= room {
			message, room = appendOptions6(message, []option6{o}), room-o.size()
		}
	}
	return Result6{
		Received: nameOf6(x.request.kind), Sent: nameOf6(kind), Lease: x.query.Lease,
		Reply: message, To: netip.AddrPortFrom(x.query.From, clientPort6), ToMAC: x.query.MAC,
	}
}

// room returns the length of a message that the client receives in one packet: no client says how much it accepts.
func (x *exchange6) room() int {
	mtu := x.offer.MTU
	if mtu == 0 {
		mtu = minMTU6
	}
	return min(mtu, ethernetMTU) - ipv6UDPHeaders
}

// duid returns the server's identifier, a DUID-LL of the router MAC: the same after a restart (RFC 8415, section 11.4).
func (o *Offer6) duid() DUID {
	return append([]byte{0, byte(dhcpv6.DUID_LL), 0, byte(iana.HWTypeEthernet)}, o.RouterMAC[:]...)
}

// status returns a status option (RFC 8415, section 21.13).
func status(code iana.StatusCode, text string) option6 {
	return option6{dhcpv6.OptionStatusCode, append(binary.BigEndian.AppendUint16(nil, uint16(code)), text...)}
}

// option encodes an IA with options in it. T1 and T2 are 0, which has no meaning without an address.
func (a *ia) option(inner ...option6) option6 { return a.timed(0, 0, inner) }

// timed encodes an IA with T1 and T2. An IA_TA has none.
func (a *ia) timed(t1, t2 time.Duration, inner []option6) option6 {
	value := binary.BigEndian.AppendUint32(nil, a.id)
	if a.kind != dhcpv6.OptionIATA {
		value = slices.Concat(value, seconds(t1), seconds(t2))
	}
	return option6{a.kind, appendOptions6(value, inner)}
}

// otherAddresses says what becomes of addresses in an IA_NA that are not the pod's.
type otherAddresses uint8

const (
	ignoreOthers otherAddresses = iota // SOLICIT: they are hints
	refuseOthers                       // REQUEST: NotOnLink (RFC 8415, section 18.3.2)
	endOthers                          // RENEW and REBIND: lifetimes of 0 beside the pod address (sections 18.3.4 and 18.3.5)
)

// associations returns the IAs of a reply, and the IAIDs that get the address. Temporary addresses and prefixes do not exist here.
func (x *exchange6) associations(others otherAddresses) (options []option6, bound []uint32) {
	ended := 0
	for _, a := range x.request.ias {
		wrong := slices.DeleteFunc(slices.Clone(a.addresses), func(b netip.Addr) bool { return b == x.offer.Address })
		switch {
		case a.kind == dhcpv6.OptionIAPD:
			options = append(options, a.option(status(iana.StatusNoPrefixAvail, "")))
		case a.kind == dhcpv6.OptionIATA:
			options = append(options, a.option(status(iana.StatusNoAddrsAvail, "")))
		case others == refuseOthers && len(wrong) > 0:
			options = append(options, a.option(status(iana.StatusNotOnLink, x.why())))
		case x.hasExpired() && (others != endOthers || len(a.addresses) == 0):
			options = append(options, a.option(status(iana.StatusNoAddrsAvail, x.why())))
		default:
			if others == ignoreOthers {
				wrong = nil
			}
			wrong = wrong[:min(len(wrong), maxOthers-ended)]
			ended += len(wrong)
			options = append(options, x.association(&a, wrong))
			if !x.hasExpired() {
				bound = append(bound, a.id)
			}
		}
	}
	return options, bound
}

// association returns an IA_NA with the pod address, and with the others, whose lifetimes end.
func (x *exchange6) association(a *ia, others []netip.Addr) option6 {
	valid := max(0, x.validTime())
	preferred := min(valid, max(0, untilEnd(valid, x.offer.Deprecated, x.query.Now)))
	until := preferred // T1 and T2 precede its end (RFC 8415, section 21.4)
	if until < time.Second {
		until = valid
	}
	addresses := []option6{address(x.offer.Address, preferred, valid)}
	for _, b := range others {
		addresses = append(addresses, address(b, 0, 0))
	}
	return a.timed(until/2, until/10*8, addresses)
}

// address returns an address with its lifetimes (RFC 8415, section 21.6).
func address(a netip.Addr, preferred, valid time.Duration) option6 {
	return option6{dhcpv6.OptionIAAddr, slices.Concat(a.AsSlice(), seconds(preferred), seconds(valid))}
}
