package dhcpsrv

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// A DUID is the identifier of a DHCPv6 client or server (RFC 8415, section 11): a type and its data, in network byte order. One guest
// has several in one boot: its firmware, its boot loader and its operating system each have their own.
type DUID []byte

// The sizes of a DUID in bytes (RFC 8415, section 11.1).
const (
	minDUID = 3
	maxDUID = 130
)

// Kind returns the name of the DUID's type: LLT, EN, LL or UUID (RFC 8415, section 11; RFC 6355), "type N" for another one, and nothing
// for an empty DUID.
func (d DUID) Kind() string {
	if len(d) < 2 {
		return ""
	}
	names := [...]string{1: "LLT", 2: "EN", 3: "LL", 4: "UUID"}
	if n := binary.BigEndian.Uint16(d); n > 0 && int(n) < len(names) {
		return names[n]
	}
	return fmt.Sprintf("type %d", binary.BigEndian.Uint16(d))
}

// maxIAs is the number of identity associations (IA) that one message is answered for, and that a lease remembers. UEFI firmware has two.
const maxIAs = 8

// A Lease6 is the assignment of the pod address to a client. The zero Lease6 means that the address is free. As with IPv4, the lease
// belongs to a MAC. DUID and IAIDs only say whether a RELEASE is the last one: firmware asks for the address in two IAs, releases one,
// and continues with the other.
type Lease6 struct {
	MAC      MAC       // of the client; zero: the address is free
	DUID     DUID      // of the client that got the address last; RELEASE and DECLINE from another one change nothing
	IAIDs    []uint32  // of this DUID's IAs with the address, the last used one last; at most 8: the oldest ones are forgotten
	HostName string    // option 39 of the client, at most 253 bytes of visible ASCII; may be empty
	Expires  time.Time // from this time on any MAC may get the address
}

// bind returns the lease after the client got the address in the IAs. It shares no memory with l.
func (l *Lease6) bind(mac MAC, duid DUID, iaids []uint32) Lease6 {
	next := Lease6{MAC: mac, DUID: slices.Clone(duid)}
	if l.MAC == mac {
		next.HostName = l.HostName
	}
	if l.MAC == mac && slices.Equal(l.DUID, duid) {
		next.IAIDs = slices.Clone(l.IAIDs)
	}
	for _, id := range iaids {
		next.IAIDs = append(without(next.IAIDs, id), id)
	}
	next.IAIDs = next.IAIDs[max(0, len(next.IAIDs)-maxIAs):]
	return next
}

// Equal reports whether the leases are the same.
func (l Lease6) Equal(other Lease6) bool {
	return l.MAC == other.MAC && slices.Equal(l.DUID, other.DUID) && slices.Equal(l.IAIDs, other.IAIDs) && l.HostName == other.HostName &&
		l.Expires.Equal(other.Expires)
}

// has reports whether the client has the address in the IA.
func (l *Lease6) has(mac MAC, duid DUID, iaid uint32) bool {
	return l.MAC == mac && mac != MAC{} && slices.Equal(l.DUID, duid) && slices.Contains(l.IAIDs, iaid)
}

// end returns the lease without the IAs: the zero Lease6 if none remains. It shares no memory with l that it changes.
func (l *Lease6) end(iaids []uint32) Lease6 {
	next := *l
	for _, id := range iaids {
		next.IAIDs = without(next.IAIDs, id)
	}
	if len(next.IAIDs) == 0 {
		return Lease6{}
	}
	return next
}

// without returns a copy of the list without id.
func without(list []uint32, id uint32) []uint32 {
	return slices.DeleteFunc(slices.Clone(list), func(other uint32) bool { return other == id })
}

// LinkLocal returns the link-local address that a MAC gives (RFC 4291, appendix A).
func LinkLocal(mac MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
}
