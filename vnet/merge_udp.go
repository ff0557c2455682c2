package vnet

import "encoding/binary"

// A run of UDP datagrams has datagrams of one size, except the last, which may be smaller, with consecutive IPv4 identifications: Linux
// assigns those for a connected socket. The receiver of the merged frame cuts it into the same datagrams.

// Offsets in a frame with a UDP datagram, in bytes (RFC 768).
const (
	udpLengthAt   = transportAt + 4
	udpChecksumAt = transportAt + udpChecksum
)

// datagramHeaders returns the length in bytes of all headers of a frame with a UDP datagram that can be part of a run, or 0 for any other
// frame. A datagram without payload cannot be a segment, and one without a checksum would get one.
func datagramHeaders(frame []byte) int {
	const headers = transportAt + udpLen
	if len(frame) <= headers || int(binary.BigEndian.Uint16(frame[udpLengthAt:])) != len(frame)-transportAt ||
		binary.BigEndian.Uint16(frame[udpChecksumAt:]) == 0 {
		return 0
	}
	return headers
}

// putDatagramLength sets the UDP length to that of everything behind the IPv4 header.
func putDatagramLength(frame []byte) {
	binary.BigEndian.PutUint16(frame[udpLengthAt:], uint16(len(frame)-transportAt))
}
