package vnet

import (
	"bytes"
	"encoding/binary"
)

// A run of TCP segments is a part of a stream in segments of one size, except the last, which may be smaller. All segments have the same
// headers, and ACK as the only flag; the last one may also have PSH (RFC 9293, section 3.1).

// tcpACK is the ACK flag.
const tcpACK = 0x10

// Offsets in a TCP segment, in bytes.
const (
	tcpOffsetAt = 12
	tcpFlagsAt  = 13
	tcpUrgentAt = 18
)

// segmentHeader returns the length in bytes of the header of a TCP segment that can be part of a run, or 0 for any other segment. A segment
// without payload, or with flags besides ACK and PSH, is never part of one.
func segmentHeader(segment []byte) int {
	if len(segment) < tcpLen {
		return 0
	}
	length := int(segment[tcpOffsetAt]>>4) * 4
	plain := segment[tcpOffsetAt]&0xf == 0 && segment[tcpFlagsAt]&^tcpPSH == tcpACK && binary.BigEndian.Uint16(segment[tcpUrgentAt:]) == 0
	if !plain || length < tcpLen || length >= len(segment) {
		return 0
	}
	return length
}

// isLast reports whether a segment ends its run.
func isLast(segment []byte) bool { return segment[tcpFlagsAt] != tcpACK }

// precedesSegment reports whether a segment with headers of the same length continues the run.
func (r *Run) precedesSegment(frame []byte) bool {
	tcpA, tcpB := r.frame[r.transport:r.headers], frame[r.transport:r.headers]
	sequence := binary.BigEndian.Uint32(tcpA[4:]) + uint32(r.length-r.headers)
	return sequence == binary.BigEndian.Uint32(tcpB[4:]) &&
		bytes.Equal(tcpA[8:13], tcpB[8:13]) && // acknowledgement, data offset
		bytes.Equal(tcpA[14:16], tcpB[14:16]) && // window
		bytes.Equal(tcpA[tcpLen:], tcpB[tcpLen:]) // options
}
