package vswitch

import "encoding/binary"

// Lengths of headers in bytes.
const (
	ethernetLen = 14
	vlanTagLen  = 4
	arpLen      = 28 // IPv4 over Ethernet
	ipv4Len     = 20 // without options
	ipv6Len     = 40 // without extension headers
	udpLen      = 8
	tcpLen      = 20 // without options
)

// Ethertypes (IEEE 802 numbers).
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
	typeVLAN = 0x8100
	typeQinQ = 0x88a8
)

func destination(frame []byte) MAC  { return MAC(frame[0:6]) }
func sender(frame []byte) MAC       { return MAC(frame[6:12]) }
func ethertype(frame []byte) uint16 { return binary.BigEndian.Uint16(frame[12:14]) }

// setMACs rewrites the Ethernet addresses of a frame.
func setMACs(frame []byte, to, from MAC) {
	copy(frame[0:6], to[:])
	copy(frame[6:12], from[:])
}

// setHeader writes an Ethernet header.
func setHeader(b []byte, to, from MAC, ethertype uint16) {
	setMACs(b, to, from)
	binary.BigEndian.PutUint16(b[12:], ethertype)
}

// isReserved reports whether m is 01:80:c2:00:00:00 to 01:80:c2:00:00:0f, which bridges do not forward (IEEE 802.1Q-2022, table 8-1).
func isReserved(m MAC) bool {
	return m[0] == 0x01 && m[1] == 0x80 && m[2] == 0xc2 && m[3] == 0 && m[4] == 0 && m[5] < 0x10
}

func isTag(ethertype uint16) bool { return ethertype == typeVLAN || ethertype == typeQinQ }

// tagLen returns the length in bytes of a frame's VLAN tags; it counts two tags at most.
func tagLen(frame []byte) int {
	n := 0
	for n < 2*vlanTagLen && len(frame) >= ethernetLen+n {
		if !isTag(binary.BigEndian.Uint16(frame[12+n:])) {
			break
		}
		n += vlanTagLen
	}
	return n
}
