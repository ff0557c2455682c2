// Package dhcpsrv is a DHCP server for a network with one address of each IP version and one client, as pure functions. DHCPv4 (RFC 2131):
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
//
// # IPv6
//
// A guest learns its router from router advertisements and its address from DHCPv6 (RFC 8415). One offer has both:
//
//	offer, warnings, err := dhcpsrv.NewOffer6(dhcpsrv.Offer6{Address: address, RouterMAC: mac, Lease: 24 * time.Hour})
//	...
//	advertisement := offer.RouterAdvertisement(time.Now()) // for a router solicitation, and from time to time
//	result := dhcpsrv.Answer6(offer, dhcpsrv.Query6{Message: payload, MAC: mac, From: from, To: to, Lease: lease, Now: time.Now()})
//
// The switch is the guest's only neighbour. The prefix in an advertisement is therefore the pod address itself, as a /128.
//
//	message              needs                    answer
//	SOLICIT              client                   ADVERTISE with preference 255; with option 14, REPLY at once
//	REQUEST              client, this server      REPLY; NotOnLink for an IA with a wrong address
//	RENEW                client, this server      REPLY; a wrong address gets lifetimes of 0, beside the pod address
//	REBIND               client, no server        as for RENEW
//	CONFIRM              client, no server        REPLY with Success or NotOnLink; none without an address
//	RELEASE, DECLINE     client, this server      REPLY with Success; the lease ends with the last IA
//	INFORMATION-REQUEST  no IA                    REPLY without addresses
//	of relays, servers                            none
//
// Every IA_NA of the leasing MAC gets the address, an IA_TA NoAddrsAvail, an IA_PD NoPrefixAvail. The lease belongs to a MAC as for DHCPv4,
// whatever the DUID: firmware, boot loader and operating system of one guest have several. request6.go parses, answer6.go decides, reply6.go
// encodes, options6.go has the options that depend on the offer.
package dhcpsrv
