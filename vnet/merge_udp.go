package vnet

import "encoding/binary"

// A run of UDP datagrams has datagrams of one size, except the last, which may be smaller; over IPv4 with consecutive identifications: Linux
// assigns those for a connected socket. The receiver of the merged frame cuts it into the same datagrams.

// udpLengthAt is the offset of the length in a UDP datagram, in bytes (RFC 768).
const udpLengthAt = 4

// datagramHeader returns the length in bytes of the header of a UDP datagram that can be part of a run, or 0 for any other datagram. A
// datagram without payload cannot be a segment, and one without a checksum would get one.
func datagramHeader(datagram []byte) int {
	if len(datagram) <= udpLen || int(binary.BigEndian.Uint16(datagram[udpLengthAt:])) != len(datagram) ||
		binary.BigEndian.Uint16(datagram[udpChecksum:]) == 0 {
		return 0
	}
	return udpLen
}

// putDatagramLength sets the UDP length to that of the header and everything behind it.
func putDatagramLength(datagram []byte) {
	binary.BigEndian.PutUint16(datagram[udpLengthAt:], uint16(len(datagram)))
}
