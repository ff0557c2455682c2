package dhcpsrv

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// An exchange is a query with its parsed message.
type exchange struct {
	offer   *Offer
	query   Query
	request request
}

// Answer returns the answer to one message. The offer must come from NewOffer; Answer does not change it. Any bytes are a valid
// message: a malformed one, or one for another server, gets no Reply and a Reason.
func Answer(o *Offer, q Query) Result {
	req, fault := readRequest(q.Message)
	x := exchange{offer: o, query: q, request: req}
	result := x.answer(fault)
	result.Client, result.HostName = req.mac, req.hostName
	return result
}

// answer decides. A fault is why the message could not be read.
func (x *exchange) answer(fault string) Result {
	if fault != "" {
		return x.ignore("%s", fault)
	}
	if only := x.query.PinnedMAC; only != (MAC{}) && x.request.mac != only {
		return x.ignore("from %s: only %s is served", x.request.mac, only)
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
	return x.ignore("message type %d: clients do not send it", uint8(x.request.kind))
}

// discover offers the address, even if the client asks for another one (RFC 2131, section 4.3.1). An offer reserves nothing: no other
// client competes for the address.
func (x *exchange) discover() Result {
	if x.hasExpired() {
		return x.ignore("the lifetime of %s has ended", x.offer.Address.Addr())
	}
	if x.held() {
		return x.holdOff()
	}
	return x.reply(dhcpv4.MessageTypeOffer, x.offer.Address.Addr(), x.leaseOptions())
}

// requestAddress distinguishes the states of RFC 2131, section 4.3.2, and acknowledges or refuses the address. It refuses a wrong
// address even while another MAC has the lease, because no client can have it here. A client that sends ciaddr together with option 50
// or 54, which the RFC forbids, gets an ACK if all of them are right.
func (x *exchange) requestAddress() Result {
	req := &x.request
	if x.forAnotherServer() {
		return x.otherServer()
	}
	asked := req.requested
	if !asked.IsValid() {
		if req.ciaddr.IsUnspecified() {
			return x.ignore("REQUEST without option 50 and without ciaddr")
		}
		asked = req.ciaddr
	}
	if asked != x.offer.Address.Addr() {
		return x.refuse("requested %s: the pod address is %s", asked, x.offer.Address.Addr())
	}
	if x.hasExpired() {
		return x.refuse("the lifetime of %s has ended", asked)
	}
	if !req.server.IsValid() && !req.ciaddr.IsUnspecified() && !x.hasAddress() {
		return x.refuse("requested %s: the pod address is %s", req.ciaddr, x.offer.Address.Addr())
	}
	if x.held() {
		return x.holdOff()
	}
	result := x.reply(dhcpv4.MessageTypeAck, x.offer.Address.Addr(), x.leaseOptions())
	result.Change = Bound
	result.Lease = Lease{MAC: req.mac, HostName: req.hostName, Expires: x.query.Now.Add(x.leaseTime())}
	if result.Lease.HostName == "" && x.query.Lease.MAC == req.mac {
		result.Lease.HostName = x.query.Lease.HostName
	}
	return result
}

// inform sends the configuration to a client that has the address already (RFC 2131, section 4.3.5), whether or not it has the lease.
// A client with another address gets no answer: the configuration would not work with it.
func (x *exchange) inform() Result {
	if !x.hasAddress() {
		return x.ignore("INFORM for %s: the pod address is %s", x.request.ciaddr, x.offer.Address.Addr())
	}
	return x.reply(dhcpv4.MessageTypeAck, netip.IPv4Unspecified(), nil)
}

// release ends the lease of the client (RFC 2131, section 4.3.4).
func (x *exchange) release() Result {
	switch {
	case x.forAnotherServer():
		return x.otherServer()
	case x.request.mac != x.query.Lease.MAC:
		return x.ignore("RELEASE from %s, which has no lease", x.request.mac)
	case !x.hasAddress():
		return x.ignore("RELEASE of %s: the pod address is %s", x.request.ciaddr, x.offer.Address.Addr())
	}
	result := x.ignore("lease of %s released", x.offer.Address.Addr())
	result.Lease, result.Change = Lease{}, Released
	return result
}

// decline ends the lease of a client that found the address in use (RFC 2131, section 4.3.3).
func (x *exchange) decline() Result {
	switch {
	case x.forAnotherServer():
		return x.otherServer()
	case x.request.mac != x.query.Lease.MAC:
		return x.ignore("DECLINE from %s, which has no lease", x.request.mac)
	case !x.request.requested.IsValid():
		return x.ignore("DECLINE without option 50")
	case x.request.requested != x.offer.Address.Addr():
		return x.ignore("DECLINE of %s: the pod address is %s", x.request.requested, x.offer.Address.Addr())
	}
	result := x.ignore("the client found %s in use", x.offer.Address.Addr())
	result.Lease, result.Change = Lease{}, Declined
	return result
}

// held reports whether another MAC has the lease, and keeps it.
func (x *exchange) held() bool {
	l := x.query.Lease
	return isKept(l.MAC, l.Expires, x.query.Now, x.query.OwnerGone) && l.MAC != x.request.mac
}

// isKept reports whether the owner of a lease keeps it from every other MAC.
func isKept(owner MAC, expires, now time.Time, gone bool) bool {
	return owner != MAC{} && now.Before(expires) && !gone
}

// hasAddress reports whether the client claims to use the address.
func (x *exchange) hasAddress() bool { return x.request.ciaddr == x.offer.Address.Addr() }

// forAnotherServer reports whether option 54 names another server. A message without it is for every server.
func (x *exchange) forAnotherServer() bool {
	return x.request.server.IsValid() && x.request.server != x.offer.Server
}

// ignore returns a result without a reply.
func (x *exchange) ignore(format string, args ...any) Result {
	return Result{Received: nameOf(x.request.kind), Lease: x.query.Lease, Reason: fmt.Sprintf(format, args...)}
}

// holdOff returns a result without a reply to a client that the lease is kept from.
func (x *exchange) holdOff() Result {
	result := x.ignore("%s has the lease", x.query.Lease.MAC)
	result.Held = true
	return result
}

func (x *exchange) otherServer() Result {
	return x.ignore("for the server %s: this one is %s", x.request.server, x.offer.Server)
}

// refuse answers NAK (RFC 2131, table 3), with the reason in option 56.
func (x *exchange) refuse(format string, args ...any) Result {
	why := fmt.Sprintf(format, args...)
	result := x.reply(dhcpv4.MessageTypeNak, netip.IPv4Unspecified(), []option{{optMessage, []byte(why)}})
	result.Reason = why
	return result
}

// nameOf returns the name of a message type, or the empty one.
func nameOf(kind dhcpv4.MessageType) MessageType {
	if kind < dhcpv4.MessageTypeDiscover || kind > dhcpv4.MessageTypeInform {
		return ""
	}
	return MessageType(kind.String())
}
