package packet

import "encoding/binary"

// Lengths of headers in bytes.
const (
	EthernetLen = 14
	VLANTagLen  = 4
	ARPLen      = 28 // IPv4 over Ethernet
	IPv4Len     = 20 // without options
	IPv6Len     = 40 // without extension headers
	UDPLen      = 8
	TCPLen      = 20 // without options
)

// Ethertypes (IEEE 802 numbers).
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeIPv6 = 0x86dd
	TypeVLAN = 0x8100
	TypeQinQ = 0x88a8
)

// Ethertype returns that of the Ethernet header.
func Ethertype(frame []byte) uint16 { return binary.BigEndian.Uint16(frame[12:14]) }

// SetMACs rewrites the Ethernet addresses of a frame.
func SetMACs(frame []byte, to, from [6]byte) {
	copy(frame[0:6], to[:])
	copy(frame[6:12], from[:])
}

// SetHeader writes an Ethernet header.
func SetHeader(b []byte, to, from [6]byte, ethertype uint16) {
	SetMACs(b, to, from)
	binary.BigEndian.PutUint16(b[12:], ethertype)
}

// IsReserved reports whether m is 01:80:c2:00:00:00 to 01:80:c2:00:00:0f, which bridges do not forward (IEEE 802.1Q-2022, table 8-1).
func IsReserved(m [6]byte) bool {
	return m[0] == 0x01 && m[1] == 0x80 && m[2] == 0xc2 && m[3] == 0 && m[4] == 0 && m[5] < 0x10
}

// IsTag reports whether an ethertype is that of a VLAN tag.
func IsTag(ethertype uint16) bool { return ethertype == TypeVLAN || ethertype == TypeQinQ }

// TagLen returns the length in bytes of a frame's VLAN tags; it counts two tags at most.
func TagLen(frame []byte) int {
	n := 0
	for n < 2*VLANTagLen && len(frame) >= EthernetLen+n {
		if !IsTag(binary.BigEndian.Uint16(frame[12+n:])) {
			break
		}
		n += VLANTagLen
	}
	return n
}
