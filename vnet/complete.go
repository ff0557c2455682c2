package vnet

// Completion of checksums in software, for an egress that accepts no offloads and for endpoints in this process.

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	sctpChecksum = 8 // offset of the checksum in an SCTP header (RFC 9260, section 3.1)
	sctpLen      = 12
)

// Complete writes the checksum that h asks for to the frame and returns a header without FlagNeedsChecksum. Without that flag in h, it
// returns h and changes nothing. The header must have passed Check with this frame.
//
// The checksum covers the bytes from CsumStart to the end of the IP packet, without Ethernet padding. The checksum field must contain
// the folded sum of the pseudo-header, as Linux leaves it.
//
// A TCP frame to segment is completed as one large packet, for a receiver that accepts those, and the GSO fields of the result are 0. Do
// not use Complete for GSOUDPL4, because it would merge the datagrams into one, and in a tunnel. Use Cut.
func Complete(h Header, frame []byte) Header {
	if h.Flags&FlagNeedsChecksum == 0 {
		return h
	}
	var l layout
	l.locate(frame)
	start, field := int(h.CsumStart), int(h.CsumStart)+int(h.CsumOffset)
	end := l.end
	if end < field+2 {
		end = len(frame) // the packet's length is wrong or absent: sum to the end of the frame, as Linux does
	}
	switch {
	case h.GSOType != GSONone:
		// Some drivers omit the length from the sum of the pseudo-header: compute the sum again.
		length := end - start
		writeChecksum(frame[start:end], int(h.CsumOffset), addressSum(frame, &l)+uint32(length))
	case l.protocol == protocolSCTP && start == l.transport && h.CsumOffset == sctpChecksum && end-start >= sctpLen:
		writeCRC(frame[start:end])
	default:
		putNonZero(frame[field:], Checksum(frame[start:end], 0))
	}
	return Header{Flags: h.Flags &^ FlagNeedsChecksum}
}

// CompleteSCTP completes the CRC-32C of an SCTP packet if h asks for a checksum, and does nothing for other packets. The header cannot
// express which of the two is meant, so that a kernel would write an Internet checksum instead. The header must have passed Check
// with this frame; CompleteSCTP replaces it by the result of Complete.
func CompleteSCTP(h *Header, frame []byte) {
	if h.Flags&FlagNeedsChecksum == 0 || h.CsumOffset != sctpChecksum {
		return
	}
	var l layout
	if l.locate(frame) && l.protocol == protocolSCTP {
		*h = Complete(*h, frame)
	}
}

// addressSum returns the sum of a TCP or UDP packet's pseudo-header without the length.
func addressSum(frame []byte, l *layout) uint32 {
	if l.ethertype == etherIPv4 {
		return PseudoSum(frame[l.network+12:l.network+16], frame[l.target:l.target+4], l.protocol, 0)
	}
	return PseudoSum(frame[l.network+8:l.network+24], frame[l.target:l.target+ipv6AddressLen], l.protocol, 0)
}

// writeChecksum writes the checksum of segment, a transport header with its payload, into its field.
func writeChecksum(segment []byte, field int, pseudo uint32) {
	segment[field], segment[field+1] = 0, 0
	putNonZero(segment[field:], Checksum(segment, pseudo))
}

// putNonZero writes a checksum, with 0xffff instead of 0. UDP requires that, because 0 means that there is no checksum (RFC 768); for other
// protocols the two values are equal in ones' complement.
func putNonZero(b []byte, checksum uint16) {
	if checksum == 0 {
		checksum = 0xffff
	}
	binary.BigEndian.PutUint16(b, checksum)
}

// writeCRC writes the CRC-32C of an SCTP packet, least significant byte first (RFC 9260, appendix A).
func writeCRC(packet []byte) {
	field := packet[sctpChecksum:sctpLen]
	clear(field)
	binary.LittleEndian.PutUint32(field, crc32.Checksum(packet, crc32.MakeTable(crc32.Castagnoli)))
}
