package dhcpsrv

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// An exchange6 is a query with its parsed message.
type exchange6 struct {
	offer   *Offer6
	query   Query6
	request request6
}

// A need says which identifiers a message must have (RFC 8415, sections 16.2 to 16.12). Every message with a server's identifier must
// have this server's.
type need uint8

const (
	neverAnswered need = iota
	needsClient        // the client's, and no server's
	needsBoth
	needsNone // the client's may be absent
)

// needs has the rule of each message; the others of RFC 8415 are those of servers.
var needs = [...]need{
	dhcpv6.MessageTypeSolicit:            needsClient,
	dhcpv6.MessageTypeRequest:            needsBoth,
	dhcpv6.MessageTypeConfirm:            needsClient,
	dhcpv6.MessageTypeRenew:              needsBoth,
	dhcpv6.MessageTypeRebind:             needsClient,
	dhcpv6.MessageTypeRelease:            needsBoth,
	dhcpv6.MessageTypeDecline:            needsBoth,
	dhcpv6.MessageTypeInformationRequest: needsNone,
}

// Answer6 returns the answer to one DHCPv6 message. The offer must come from NewOffer6; Answer6 does not change it. Any bytes are a valid
// message: a malformed one, or one for another server, gets no Reply and a Reason.
func Answer6(o *Offer6, q Query6) Result6 {
	req, fault := readRequest6(q.Message)
	x := exchange6{offer: o, query: q, request: req}
	x.query.From = q.From.WithZone("")
	result := x.answer(fault)
	result.Client, result.DUID, result.HostName = q.MAC, req.duid, req.hostName
	return result
}

// answer decides. A fault is why the message could not be read.
func (x *exchange6) answer(fault string) Result6 {
	if fault == "" {
		fault = x.refusal()
	}
	if fault != "" {
		return x.ignore("%s", fault)
	}
	switch x.request.kind {
	case dhcpv6.MessageTypeSolicit:
		return x.solicit()
	case dhcpv6.MessageTypeRequest:
		return x.assign(refuseOthers)
	case dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind:
		return x.assign(endOthers)
	case dhcpv6.MessageTypeConfirm:
		return x.confirm()
	case dhcpv6.MessageTypeRelease:
		return x.end(Released)
	case dhcpv6.MessageTypeDecline:
		return x.end(Declined)
	}
	return x.inform()
}

// refusal returns why the sender or the message gets no answer, or nothing.
func (x *exchange6) refusal() string {
	q, req, rule := &x.query, &x.request, needs[x.request.kind]
	switch only := q.PinnedMAC; {
	case q.MAC == MAC{} || q.MAC[0]&1 != 0:
		return fmt.Sprintf("client MAC %s: want a unicast address", q.MAC)
	case only != MAC{} && q.MAC != only:
		return fmt.Sprintf("from %s: only %s is served", q.MAC, only)
	case x.offer.options == nil:
		return "the offer was not made by NewOffer6"
	case !q.From.IsLinkLocalUnicast() && q.From != x.offer.Address || q.From.Unmap().Is4():
		return fmt.Sprintf("from %s: want a link-local address, or the pod address", q.From)
	case q.To != AllServers():
		return fmt.Sprintf("to %s: clients send to %s", q.To, AllServers())
	case rule != needsNone && req.duid == nil:
		return "no client identifier (option 1)"
	case rule == needsClient && req.server != nil:
		return "a server identifier (option 2), which this message must not have"
	case rule == needsBoth && req.server == nil:
		return "no server identifier (option 2)"
	case req.server != nil && !bytes.Equal(req.server, x.offer.duid()):
		return fmt.Sprintf("for the server %x: this one is %x", []byte(req.server), []byte(x.offer.duid()))
	case rule == needsNone && len(req.ias) > 0:
		return "INFORMATION-REQUEST with an identity association" // RFC 8415, section 16.12
	}
	return ""
}

// solicit offers the address, or assigns it at once to a client that wants a rapid commit. Other addresses in the message are hints,
// without effect. An offer reserves nothing: no other client competes for the address.
func (x *exchange6) solicit() Result6 {
	switch {
	case x.held():
		return x.holdOff()
	case x.request.rapid && len(x.request.identities()) > 0 && !x.hasExpired():
		return x.assign(ignoreOthers, option6{code: dhcpv6.OptionRapidCommit})
	}
	options, _ := x.associations(ignoreOthers)
	preference := option6{dhcpv6.OptionPreference, []byte{maxPreference}}
	return x.reply(dhcpv6.MessageTypeAdvertise, append([]option6{preference}, options...), x.configuration())
}

// assign assigns the address to all IA_NAs, or renews it.
func (x *exchange6) assign(others otherAddresses, first ...option6) Result6 {
	if x.held() {
		return x.holdOff()
	}
	options, bound := x.associations(others)
	result := x.reply(dhcpv6.MessageTypeReply, append(first, options...), x.configuration())
	if len(bound) == 0 {
		if len(x.request.identities()) > 0 {
			result.Reason = fmt.Sprintf("requested %s: %s", x.request.addresses(), x.why())
		}
		return result
	}
	result.Change = Bound
	result.Lease = x.query.Lease.bind(x.query.MAC, x.request.duid, bound)
	result.Lease.Expires = x.query.Now.Add(x.validTime())
	if x.request.hostName != "" {
		result.Lease.HostName = x.request.hostName
	}
	return result
}

// confirm tells a client that was away whether its addresses are right here (RFC 8415, section 18.3.3). While another MAC has the lease,
// Success would let two clients use the address, so there is no answer.
func (x *exchange6) confirm() Result6 {
	addresses := x.request.addresses()
	switch wrong := slices.ContainsFunc(addresses, func(a netip.Addr) bool { return a != x.offer.Address }); {
	case len(addresses) == 0:
		return x.ignore("CONFIRM without addresses")
	case wrong || x.hasExpired():
		why := fmt.Sprintf("confirmed %s: %s", addresses, x.why())
		result := x.reply(dhcpv6.MessageTypeReply, []option6{status(iana.StatusNotOnLink, x.why())}, nil)
		result.Reason = why
		return result
	case x.held():
		return x.holdOff()
	}
	return x.reply(dhcpv6.MessageTypeReply, []option6{status(iana.StatusSuccess, "")}, nil)
}

// end ends the lease when its last IA is released or declined (RFC 8415, sections 18.3.7 and 18.3.8). An IA without the lease gets
// NoBinding; addresses that are not the pod's have no effect.
func (x *exchange6) end(change Change) Result6 {
	var ended []uint32
	options := []option6{status(iana.StatusSuccess, "")}
	for _, a := range x.request.ias {
		switch {
		case a.kind != dhcpv6.OptionIANA || !x.query.Lease.has(x.query.MAC, x.request.duid, a.id):
			options = append(options, a.option(status(iana.StatusNoBinding, "")))
		case slices.Contains(a.addresses, x.offer.Address):
			ended = append(ended, a.id)
		}
	}
	result := x.reply(dhcpv6.MessageTypeReply, options, nil)
	if len(ended) == 0 {
		result.Reason = fmt.Sprintf("%s from %s, which ends no association with the address", result.Received, x.query.MAC)
		return result
	}
	if result.Lease = x.query.Lease.end(ended); result.Lease.MAC == (MAC{}) {
		result.Change = change
	}
	return result
}

// inform sends the configuration to a client that wants no address, whether or not it has the lease.
func (x *exchange6) inform() Result6 {
	return x.reply(dhcpv6.MessageTypeReply, nil, x.configuration())
}

// held reports whether the message asks for the address while another MAC has the lease, and keeps it.
func (x *exchange6) held() bool {
	l := &x.query.Lease
	return isKept(l.MAC, l.Expires, x.query.Now, x.query.OwnerGone) && l.MAC != x.query.MAC && len(x.request.identities()) > 0
}

// why returns why an address is refused.
func (x *exchange6) why() string {
	if x.hasExpired() {
		return fmt.Sprintf("the lifetime of %s has ended", x.offer.Address)
	}
	return fmt.Sprintf("the pod address is %s", x.offer.Address)
}

// validTime returns the valid lifetime of the address from now on, which does not outlast the pod's.
func (x *exchange6) validTime() time.Duration {
	return untilEnd(x.offer.Lease, x.offer.Expires, x.query.Now)
}

// hasExpired reports whether the lifetime of the address has ended.
func (x *exchange6) hasExpired() bool { return x.validTime() < time.Second }

// addresses returns the addresses in all IAs.
func (req *request6) addresses() (list []netip.Addr) {
	for _, a := range req.ias {
		list = append(list, a.addresses...)
	}
	return list
}

// ignore returns a result without a reply.
func (x *exchange6) ignore(format string, args ...any) Result6 {
	return Result6{Received: nameOf6(x.request.kind), Lease: x.query.Lease, Reason: fmt.Sprintf(format, args...)}
}

// holdOff returns a result without a reply to a client that the lease is kept from.
func (x *exchange6) holdOff() Result6 {
	result := x.ignore("%s has the lease", x.query.Lease.MAC)
	result.Held = true
	return result
}

// nameOf6 returns the name of a message type, or the empty one.
func nameOf6(kind dhcpv6.MessageType) MessageType {
	names := [...]MessageType{
		dhcpv6.MessageTypeSolicit:            MessageSolicit,
		dhcpv6.MessageTypeAdvertise:          MessageAdvertise,
		dhcpv6.MessageTypeRequest:            MessageRequest,
		dhcpv6.MessageTypeConfirm:            MessageConfirm,
		dhcpv6.MessageTypeRenew:              MessageRenew,
		dhcpv6.MessageTypeRebind:             MessageRebind,
		dhcpv6.MessageTypeReply:              MessageReply,
		dhcpv6.MessageTypeRelease:            MessageRelease,
		dhcpv6.MessageTypeDecline:            MessageDecline,
		dhcpv6.MessageTypeInformationRequest: MessageInformationRequest,
	}
	if int(kind) >= len(names) {
		return ""
	}
	return names[kind]
}
