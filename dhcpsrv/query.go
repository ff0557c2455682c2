package dhcpsrv

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// A MAC is an Ethernet address in network byte order. The zero MAC means none.
type MAC [6]byte

// String returns m as 02:00:00:00:00:01.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText returns the form of String.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads six bytes in hexadecimal, in each form that net.ParseMAC accepts.
func (m *MAC) UnmarshalText(text []byte) error {
	mac, err := net.ParseMAC(string(text))
	if err != nil || len(mac) != len(m) {
		return fmt.Errorf("MAC %q: want 6 bytes, as in 02:00:00:00:00:01", text)
	}
	*m = MAC(mac)
	return nil
}

// A Lease is the assignment of the address to a client. The zero Lease means that the address is free.
type Lease struct {
	MAC      MAC       // of the client; zero: the address is free
	HostName string    // option 12 of the client, at most 253 bytes of visible ASCII; may be empty
	Expires  time.Time // from this time on any MAC may get the address
}

// A Query is one DHCP message and what its answer depends on.
type Query struct {
	Message   []byte    // the UDP payload as received; Answer neither changes nor retains it
	Lease     Lease     // the Lease of the last Result; zero before the first
	OwnerGone bool      // the MAC of Lease no longer answers, so another one may get the address
	PinnedMAC MAC       // the only client that gets answers; the zero MAC: any
	Now       time.Time // the time of receipt
}

// A MessageType is the name of a DHCP message type (RFC 2132, section 9.6). The empty MessageType means that there is no message, or
// that its type has no name.
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

// A Change is what a message did to the lease.
type Change uint8

// The changes of a lease.
const (
	Unchanged Change = iota // no change
	Bound                   // an ACK assigned the address to a client, or renewed its lease
	Released                // the client released the address
	Declined                // the client found the address in use and declined it
)

// String returns the name of c: "none", "bound", "released" or "declined".
func (c Change) String() string { return [...]string{"none", "bound", "released", "declined"}[c&3] }

// A Result is the answer to a Query and the lease after it.
type Result struct {
	Received MessageType // the type of the query's message; empty if it has none
	Sent     MessageType // the type of Reply; empty if there is no Reply
	Client   MAC         // the hardware address in the message
	HostName string      // option 12 of the message, at most 253 bytes of visible ASCII; may be empty

	Reply []byte         // the UDP payload to send from port 67 of the server, owned by the caller; nil: no answer
	To    netip.AddrPort // the destination of Reply
	ToMAC MAC            // the Ethernet destination of Reply; the client may not answer ARP yet (RFC 2131, section 4.1)

	Lease  Lease  // the lease from now on
	Change Change // how it differs from the query's
	Held   bool   // no answer because another MAC has the lease; the same query with OwnerGone gets one
	Reason string // why there is no Reply, or the text of a NAK; otherwise empty
}
