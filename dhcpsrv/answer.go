// Package dhcpsrv answers DHCPv4 for the one guest of a pod (RFC 2131). It is pure: a reply follows from the offer, the
// lease, the message and the time that the caller gives. It has no sockets, no clock and no memory of its own.
package dhcpsrv

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Theory of operation.
//
// There is one address and one server, and the server is the only authority for the port. So it never keeps silent about
// an address that is wrong there, as RFC 2131 asks of one server among many: it says NAK, and the guest starts again.
//
//	message   sent in            option 54  asks for            answer
//	DISCOVER  INIT               -          (anything)          OFFER of the pod address
//	REQUEST   SELECTING          ours       option 50           ACK, or NAK if it is not the pod address
//	REQUEST   SELECTING          another's  -                   none: the guest chose another server
//	REQUEST   INIT-REBOOT        absent     option 50           ACK or NAK
//	REQUEST   RENEWING/REBINDING absent     ciaddr              ACK or NAK
//	INFORM    any                -          ciaddr              ACK without address and times
//	RELEASE   BOUND              ours       ciaddr              none; the lease ends
//	DECLINE   REQUESTING         ours       option 50           none; the lease ends
//
// One answer has four steps, each in its own file: request.go reads the message once and refuses what is malformed;
// this file decides; options.go chooses the options, in the order that the client asked for; reply.go encodes.
//
// The lease belongs to the port. A second MAC gets it when nobody has it, when it has expired, or when the caller found
// the first MAC silent; a guest that comes back with another MAC is no stranger.

// A MAC is an Ethernet address in network byte order. The zero MAC means "none".
type MAC [6]byte

// String writes m as 02:00:00:00:00:01.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// A Lease says who has the pod address by DHCP. The zero Lease means that nobody has it.
type Lease struct {
	MAC      MAC
	HostName string    // as the guest calls itself in option 12, cleaned for logs; may be empty
	Expires  time.Time // from here on anybody may have the address
}

// A Query is one DHCP message with all that its answer depends on.
type Query struct {
	Message   []byte    // the UDP payload as received; it is not changed and not kept
	Lease     Lease     // as the last Result left it
	OwnerGone bool      // the MAC of the lease no longer answers
	PinnedMAC MAC       // the only client that gets answers; the zero MAC: any
	Now       time.Time // the time of receipt
}

// A MessageType is the name of a DHCP message (RFC 2132, section 9.6). Empty means none, or one that has no name.
type MessageType string

// The messages of RFC 2131, table 2.
const (
	MessageDiscover MessageType = "DISCOVER"
	MessageOffer    MessageType = "OFFER"
	MessageRequest  MessageType = "REQUEST"
	MessageDecline  MessageType = "DECLINE"
	MessageAck      MessageType = "ACK"
	MessageNak      MessageType = "NAK"
	MessageRelease  MessageType = "RELEASE"
	MessageInform   MessageType = "INFORM"
)

// A Change says what a message did to the lease.
type Change uint8

// The changes of a lease.
const (
	None     Change = iota // the lease is as it was
	Bound                  // an ACK gives the address to a guest, or renews its lease
	Released               // the guest gave the address back
	Declined               // the guest found that somebody else uses the address
)

// String returns the change's name in logs.
func (c Change) String() string { return [...]string{"none", "bound", "released", "declined"}[c&3] }

// A Result is the answer to a Query, and what it means for the lease.
type Result struct {
	Received MessageType // what the guest sent; empty if that cannot be told
	Sent     MessageType // what Reply is; empty without one
	Client   MAC         // who sent it
	HostName string      // as the client calls itself, cleaned for logs; may be empty

	Reply []byte         // the UDP payload to send from the server's port 67; nil: no answer
	To    netip.AddrPort // where to send it; the zero AddrPort without a Reply
	ToMAC MAC            // the Ethernet destination that belongs to To: no ARP is needed, nor would it be answered

	Lease  Lease  // the lease from now on
	Change Change // what happened to it
	Held   bool   // no answer, because another MAC has the lease: probe it, and ask again with OwnerGone if it does not answer
	Reason string // for the log; never empty when there is no Reply or when it is a NAK
}

// An exchange is one message on its way to a Result.
type exchange struct {
	offer   *Offer
	query   Query
	request request
}

// Answer decides about one message. The offer must come from NewOffer. Any bytes may be asked about: what is malformed,
// or meant for somebody else, gets no answer and a reason.
func Answer(o *Offer, q Query) Result {
	req, fault := readRequest(q.Message)
	x := exchange{offer: o, query: q, request: req}
	result := x.answer(fault)
	result.Client, result.HostName = req.mac, req.hostName
	return result
}

// answer decides about a message that was read with the given fault, if any.
func (x *exchange) answer(fault string) Result {
	if fault != "" {
		return x.ignore("%s", fault)
	}
	if only := x.query.PinnedMAC; only != (MAC{}) && x.request.mac != only {
		return x.ignore("from %s, the only guest is %s", x.request.mac, only)
	}
	if x.offer.options == nil {
		return x.ignore("the offer was not made by NewOffer")
	}
	switch x.request.kind {
	case dhcpv4.MessageTypeDiscover:
		return x.discover()
	case dhcpv4.MessageTypeRequest:
		return x.requestAddress()
	case dhcpv4.MessageTypeInform:
		return x.inform()
	case dhcpv4.MessageTypeRelease:
		return x.release()
	case dhcpv4.MessageTypeDecline:
		return x.decline()
	}
	return x.ignore("message type %d is not a client's", uint8(x.request.kind))
}

// discover offers the pod address, whichever the client would like (RFC 2131, section 4.3.1). The offer reserves
// nothing: there is nobody to reserve it against.
func (x *exchange) discover() Result {
	if x.held() {
		return x.holdOff()
	}
	return x.reply(dhcpv4.MessageTypeOffer, x.offer.Address.Addr(), x.leaseOptions())
}

// requestAddress tells the states of RFC 2131, section 4.3.2, apart and gives or refuses the pod address. A wrong
// address is refused even when another MAC has the lease, for it is wrong for everybody here. Clients that send ciaddr
// together with options 50 or 54 are taken at their word if all that they name is right.
func (x *exchange) requestAddress() Result {
	req := &x.request
	if x.forAnotherServer() {
		return x.otherServer()
	}
	asked := req.requested
	if !asked.IsValid() {
		if req.ciaddr.IsUnspecified() {
			return x.ignore("a REQUEST without an address: neither option 50 nor ciaddr")
		}
		asked = req.ciaddr
	}
	if asked != x.offer.Address.Addr() {
		return x.refuse(asked)
	}
	if !req.server.IsValid() && !req.ciaddr.IsUnspecified() && !x.hasAddress() {
		return x.refuse(req.ciaddr)
	}
	if x.held() {
		return x.holdOff()
	}
	result := x.reply(dhcpv4.MessageTypeAck, x.offer.Address.Addr(), x.leaseOptions())
	result.Change = Bound
	result.Lease = Lease{MAC: req.mac, HostName: req.hostName, Expires: x.query.Now.Add(x.offer.Lease)}
	if result.Lease.HostName == "" && x.query.Lease.MAC == req.mac {
		result.Lease.HostName = x.query.Lease.HostName
	}
	return result
}

// inform tells a client that has the pod address already everything but the address (RFC 2131, section 4.3.5). The
// lease does not matter there; an address that cannot work on this port does.
func (x *exchange) inform() Result {
	if !x.hasAddress() {
		return x.ignore("informs of %s, the pod address is %s", x.request.ciaddr, x.offer.Address.Addr())
	}
	return x.reply(dhcpv4.MessageTypeAck, netip.IPv4Unspecified(), nil)
}

// release ends the lease of its owner (RFC 2131, section 4.3.4).
func (x *exchange) release() Result {
	switch {
	case x.forAnotherServer():
		return x.otherServer()
	case x.request.mac != x.query.Lease.MAC:
		return x.ignore("%s releases, but has no lease", x.request.mac)
	case !x.hasAddress():
		return x.ignore("releases %s, the pod address is %s", x.request.ciaddr, x.offer.Address.Addr())
	}
	result := x.ignore("%s is free again", x.offer.Address.Addr())
	result.Lease, result.Change = Lease{}, Released
	return result
}

// decline ends the lease of an owner that found its address in use (RFC 2131, section 4.3.3).
func (x *exchange) decline() Result {
	switch {
	case x.forAnotherServer():
		return x.otherServer()
	case x.request.mac != x.query.Lease.MAC:
		return x.ignore("%s declines, but has no lease", x.request.mac)
	case !x.request.requested.IsValid():
		return x.ignore("a DECLINE without an address: no option 50")
	case x.request.requested != x.offer.Address.Addr():
		return x.ignore("declines %s, the pod address is %s", x.request.requested, x.offer.Address.Addr())
	}
	result := x.ignore("the guest found somebody else who uses %s", x.offer.Address.Addr())
	result.Lease, result.Change = Lease{}, Declined
	return result
}

// held tells whether another MAC has the lease and may not lose it.
func (x *exchange) held() bool {
	l := x.query.Lease
	return l.MAC != MAC{} && l.MAC != x.request.mac && x.query.Now.Before(l.Expires) && !x.query.OwnerGone
}

// hasAddress tells whether the client says that it uses the pod address.
func (x *exchange) hasAddress() bool { return x.request.ciaddr == x.offer.Address.Addr() }

// forAnotherServer tells whether option 54 names somebody else; without it a message is for everybody.
func (x *exchange) forAnotherServer() bool {
	return x.request.server.IsValid() && x.request.server != x.offer.Server
}

// The three ways to say nothing, and the one to say no.

func (x *exchange) ignore(format string, args ...any) Result {
	return Result{Received: nameOf(x.request.kind), Lease: x.query.Lease, Reason: fmt.Sprintf(format, args...)}
}

func (x *exchange) holdOff() Result {
	result := x.ignore("held by %s, which still answers", x.query.Lease.MAC)
	result.Held = true
	return result
}

func (x *exchange) otherServer() Result {
	return x.ignore("for the server %s, this one is %s", x.request.server, x.offer.Server)
}

func (x *exchange) refuse(asked netip.Addr) Result {
	why := fmt.Sprintf("asks for %s, the pod address is %s", asked, x.offer.Address.Addr())
	result := x.reply(dhcpv4.MessageTypeNak, netip.IPv4Unspecified(), []option{{optMessage, []byte(why)}})
	result.Reason = why
	return result
}

// nameOf returns the name of a message type, or nothing for a number that has none.
func nameOf(kind dhcpv4.MessageType) MessageType {
	if kind < dhcpv4.MessageTypeDiscover || kind > dhcpv4.MessageTypeInform {
		return ""
	}
	return MessageType(kind.String())
}
