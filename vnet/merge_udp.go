package vnet

import "encoding/binary"

// A run of UDP datagrams are several of one size, but for the last, that one sender has numbered one after the other: Linux does so
// for a connected socket. Their bounds are kept: who receives them cuts again.

// Offsets in a frame with a UDP datagram, in bytes (RFC 768).
const (
	udpLengthAt   = transportAt + 4
	udpChecksumAt = transportAt + udpChecksum
)

// datagramHeaders returns the length in bytes of all headers of a frame with a UDP datagram that can be part of a run, or 0 for
// every other one. A datagram without payload is no segment, and one without a checksum would come back with one.
func datagramHeaders(frame []byte) int {
	const headers = transportAt + udpLen
	if len(frame) <= headers || int(binary.BigEndian.Uint16(frame[udpLengthAt:])) != len(frame)-transportAt ||
		binary.BigEndian.Uint16(frame[udpChecksumAt:]) == 0 {
		return 0
	}
	return headers
}

// putDatagramLength makes the length of a datagram that of everything behind the IPv4 header.
func putDatagramLength(frame []byte) {
	binary.BigEndian.PutUint16(frame[udpLengthAt:], uint16(len(frame)-transportAt))
}
