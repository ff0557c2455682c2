// Package dhcpsrv is a DHCPv4 server (RFC 2131) for a network with one address and one client, as pure functions:
//
//	offer, warnings, err := dhcpsrv.NewOffer(dhcpsrv.Offer{Address: address, Server: server, Lease: time.Hour})
//	...
//	result := dhcpsrv.Answer(offer, dhcpsrv.Query{Message: payload, Lease: lease, Now: time.Now()})
//	lease = result.Lease
//	send(result.Reply, result.To, result.ToMAC)
//
// The answer follows from the offer, the lease, the message and the time. The package has no sockets, no clock, no goroutines and no
// state: the caller keeps the lease and moves the bytes. All functions are safe for concurrent use.
//
// # Answers
//
// The server is the only authority on its network. A server that is one of many is silent when a client asks for an address that it
// does not know (RFC 2131, section 4.3.2); this one answers NAK, and the client starts again.
//
//	message   sent in            option 54  asks for            answer
//	DISCOVER  INIT               -          (anything)          OFFER of the address
//	REQUEST   SELECTING          ours       option 50           ACK, or NAK if it is not the address
//	REQUEST   SELECTING          another's  -                   none: the client selected another server
//	REQUEST   INIT-REBOOT        absent     option 50           ACK or NAK
//	REQUEST   RENEWING/REBINDING absent     ciaddr              ACK or NAK
//	INFORM    any                -          ciaddr              ACK without address and times
//	RELEASE   BOUND              ours       ciaddr              none; the lease ends
//	DECLINE   REQUESTING         ours       option 50           none; the lease ends
//
// An answer has four steps, each in its own file: request.go parses the message and refuses a malformed one; answer.go decides;
// options.go selects the options, in the order that the client asked for; reply.go encodes.
//
// # The lease
//
// The lease belongs to the network, not to a MAC. A second MAC gets it when it is free, has expired, or when the caller has found that
// its owner no longer answers (Query.OwnerGone): a guest that returns with another MAC is still the guest.
package dhcpsrv
