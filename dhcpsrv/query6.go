package dhcpsrv

import (
	"net/netip"
	"time"
)

// A Query6 is one DHCPv6 message and what its answer depends on. Unlike DHCPv4, the message does not have the client's MAC: the caller
// takes it, and both addresses, from the frame.
type Query6 struct {
	Message   []byte     // the UDP payload as received; Answer6 neither changes nor retains it
	MAC       MAC        // the frame's Ethernet source: the client
	From      netip.Addr // the IPv6 source, to which the reply goes: link-local, or the pod address
	To        netip.Addr // the IPv6 destination; only messages to ff02::1:2 get answers
	Lease     Lease6     // the Lease of the last Result6; zero before the first
	OwnerGone bool       // the MAC of Lease no longer answers, so another one may get the address
	PinnedMAC MAC        // the only client that gets answers; the zero MAC: any
	Now       time.Time  // the time of receipt
}

// The messages of RFC 8415, section 7.3, that DHCPv4 does not have. REQUEST, DECLINE and RELEASE have the same names there.
const (
	MessageSolicit            MessageType = "SOLICIT"
	MessageAdvertise          MessageType = "ADVERTISE"
	MessageConfirm            MessageType = "CONFIRM"
	MessageRenew              MessageType = "RENEW"
	MessageRebind             MessageType = "REBIND"
	MessageReply              MessageType = "REPLY"
	MessageInformationRequest MessageType = "INFORMATION-REQUEST"
)

// A Result6 is the answer to a Query6 and the lease after it.
type Result6 struct {
	Received MessageType // the type of the query's message; empty if it has none
	Sent     MessageType // the type of Reply; empty if there is no Reply
	Client   MAC         // the query's
	DUID     DUID        // of the client; nil if the message has none
	HostName string      // option 39 of the message, at most 253 bytes of visible ASCII; may be empty

	Reply []byte         // the UDP payload to send from port 547 of the router's link-local address, owned by the caller; nil: no answer
	To    netip.AddrPort // the destination of Reply
	ToMAC MAC            // the Ethernet destination of Reply: the client may not answer neighbour solicitations yet

	Lease  Lease6 // the lease from now on; it may have lost an IA although Change is Unchanged
	Change Change // how the assignment of the address differs from the query's
	Held   bool   // no answer because another MAC has the lease; the same query with OwnerGone gets one
	Reason string // why there is no Reply, or why it refuses something; otherwise empty
}

// AllServers returns ff02::1:2, the group to which clients send (RFC 8415, section 7.1).
func AllServers() netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 13: 1, 15: 2})
}
