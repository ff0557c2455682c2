package vnet

// Completing a checksum in software: for an egress that cannot, and for the endpoint in this process.

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	sctpChecksum = 8 // offset of the checksum in an SCTP header (RFC 9260, section 3.1)
	sctpLen      = 12
)

// Complete computes the checksum that h asks for and writes it into the frame, then returns h without FlagNeedsChecksum.
// The checksum covers everything from CsumStart to the end of the IP packet, without Ethernet's padding. The field holds
// the folded sum of the pseudo-header, as Linux leaves it. The header must have passed Check with this frame.
//
// A TCP frame to segment is completed as the one large packet that it is, and its GSO fields are cleared: for a receiver
// that takes large packets. One of GSOUDPL4 is several datagrams, which this would merge: Cut it instead.
func Complete(h Header, frame []byte) Header {
	if h.Flags&FlagNeedsChecksum == 0 {
		return h
	}
	var l layout
	l.locate(frame)
	start, field := int(h.CsumStart), int(h.CsumStart)+int(h.CsumOffset)
	end := l.end
	if end < field+2 {
		end = len(frame) // the packet's own length lies or is absent; a kernel sums to the end of the frame
	}
	switch {
	case h.GSOType != GSONone:
		// Some drivers leave the length out of the pseudo-header's sum here, so it is made anew.
		length := end - start
		writeChecksum(frame[start:end], int(h.CsumOffset), addressSum(frame, &l)+uint32(length))
	case l.protocol == protocolSCTP && start == l.transport && h.CsumOffset == sctpChecksum && end-start >= sctpLen:
		writeCRC(frame[start:end])
	default:
		putNonZero(frame[field:], Checksum(frame[start:end], 0))
	}
	return Header{Flags: h.Flags &^ FlagNeedsChecksum}
}

// CompleteSCTP completes the CRC-32C of an SCTP packet, if it is to be completed: the header cannot tell it from a checksum, which is
// what a kernel that gets the frame would write. The header must have passed Check with this frame, and is changed as Complete does.
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

// putNonZero writes a checksum, and 0xffff in place of 0. UDP demands that, as 0 says there "no checksum" (RFC 768); for
// every other protocol the two are equal in ones' complement.
func putNonZero(b []byte, checksum uint16) {
	if checksum == 0 {
		checksum = 0xffff
	}
	binary.BigEndian.PutUint16(b, checksum)
}

// writeCRC writes the CRC-32C of an SCTP packet, least significant byte first (RFC 9260, appendix A). A veth leaves it
// undone as it leaves a checksum undone, and the virtio-net header has no other word for it.
func writeCRC(packet []byte) {
	field := packet[sctpChecksum:sctpLen]
	clear(field)
	binary.LittleEndian.PutUint32(field, crc32.Checksum(packet, crc32.MakeTable(crc32.Castagnoli)))
}
