package vnet

// Merging in software, for an ingress that delivers a TCP stream segment by segment: one large frame costs the switch and
// the kernel behind it little more than one segment. Linux calls this GRO, and the rules are narrower here: a run of segments
// is merged only if cutting it gives back the same segments, byte by byte. The kernel that cuts also makes the checksums anew,
// so a segment whose checksums are wrong is never merged, or its fault would be hidden.

import (
	"bytes"
	"encoding/binary"
)

// tcpACK is the flag that every segment of a merged run has, alone or with PSH (RFC 9293, section 3.1).
const tcpACK = 0x10

// maxPacket is the largest IPv4 packet in bytes.
const maxPacket = 65535

// A Run is a TCP segment in a plain Ethernet and IPv4 frame, and those that were merged into it. The zero value takes none.
type Run struct {
	frame   []byte // of the first segment; its capacity is the room
	length  int    // of the frame in bytes, with the payload of all segments
	headers int    // length of all headers in bytes
	size    int    // payload bytes in each segment but the last
	count   int    // segments
	open    bool   // others may follow
}

// transportAt is where the TCP header of a segment starts that can be merged: there are no tags and no IP options.
const transportAt = ethernetLen + ipv4Len

// Start begins a run with a frame, which stays borrowed. The bytes between its length and its capacity are the room for the
// payload of what follows.
func (r *Run) Start(frame []byte) {
	r.frame, r.length, r.count = frame, len(frame), 1
	r.headers = mergeable(frame)
	r.size = len(frame) - r.headers
	r.open = r.headers > 0 && frame[transportAt+13] == tcpACK
}

// Add appends the payload of a frame if it is the run's next segment, and reports whether it did. The frame may lie in the
// room, behind everything that was added before.
func (r *Run) Add(frame []byte) bool {
	if !r.open || mergeable(frame) != r.headers {
		return false
	}
	payload := frame[r.headers:]
	total := r.length + len(payload)
	if len(payload) > r.size || total > cap(r.frame) || total > ethernetLen+maxPacket || !r.precedes(frame) {
		return false
	}
	if r.count == 1 && !verifies(r.frame) || !verifies(frame) {
		r.open = r.count > 1
		return false
	}
	flags := frame[transportAt+13]
	copy(r.frame[r.length:total], payload)
	r.frame[transportAt+13] = flags
	r.length, r.count = total, r.count+1
	r.open = len(payload) == r.size && flags == tcpACK
	return true
}

// Frame ends the run and returns it: a frame to segment, with its header, if anything was added, and otherwise the first one
// as it was.
func (r *Run) Frame() (Header, []byte) {
	if r.count < 2 {
		return Header{}, r.frame
	}
	frame := r.frame[:r.length]
	ip, tcp := frame[ethernetLen:transportAt], frame[transportAt:]
	binary.BigEndian.PutUint16(ip[2:], uint16(len(frame)-ethernetLen))
	writeIPv4Checksum(ip)
	binary.BigEndian.PutUint16(tcp[tcpChecksum:], Sum(nil, PseudoSum(ip[12:16], ip[16:20], protocolTCP, len(tcp))))
	return Header{Flags: FlagNeedsChecksum, GSOType: GSOTCPv4, HdrLen: uint16(r.headers), GSOSize: uint16(r.size),
		CsumStart: transportAt, CsumOffset: tcpChecksum}, frame
}

// mergeable returns the length of all headers in bytes of a segment that can be part of a run, or 0 for every other frame. A
// segment without payload, or with flags beside ACK and PSH, has something to say by itself. One that may be fragmented on its
// way could not be any more as part of a frame to segment.
func mergeable(frame []byte) int {
	if len(frame) < transportAt+tcpLen || binary.BigEndian.Uint16(frame[12:]) != etherIPv4 {
		return 0
	}
	ip, tcp := frame[ethernetLen:transportAt], frame[transportAt:]
	if ip[0] != 0x45 || ip[9] != protocolTCP || binary.BigEndian.Uint16(ip[6:]) != dontFragment {
		return 0
	}
	headers := transportAt + int(tcp[12]>>4)*4
	plain := tcp[12]&0xf == 0 && tcp[13]&^tcpPSH == tcpACK && tcp[18] == 0 && tcp[19] == 0
	if !plain || headers < transportAt+tcpLen || headers >= len(frame) || int(binary.BigEndian.Uint16(ip[2:])) != len(frame)-ethernetLen {
		return 0
	}
	return headers
}

// precedes tells whether a frame with headers of the same length is what cutting the run would put next.
func (r *Run) precedes(frame []byte) bool {
	a, b := r.frame[:r.headers], frame[:r.headers]
	ipA, ipB, tcpA, tcpB := a[ethernetLen:], b[ethernetLen:], a[transportAt:], b[transportAt:]
	id := binary.BigEndian.Uint16(ipA[4:]) + uint16(r.count)
	sequence := binary.BigEndian.Uint32(tcpA[4:]) + uint32(r.length-r.headers)
	return id == binary.BigEndian.Uint16(ipB[4:]) &&
		sequence == binary.BigEndian.Uint32(tcpB[4:]) &&
		bytes.Equal(a[:ethernetLen+2], b[:ethernetLen+2]) && // Ethernet header, type of service
		bytes.Equal(ipA[6:10], ipB[6:10]) && // flags, time to live
		bytes.Equal(ipA[12:ipv4Len+4], ipB[12:ipv4Len+4]) && // addresses, ports
		bytes.Equal(tcpA[8:13], tcpB[8:13]) && // acknowledgement, data offset
		bytes.Equal(tcpA[14:16], tcpB[14:16]) && // window
		bytes.Equal(tcpA[tcpLen:], tcpB[tcpLen:]) // options
}

// verifies checks the checksums of a mergeable frame.
func verifies(frame []byte) bool {
	ip, tcp := frame[ethernetLen:transportAt], frame[transportAt:]
	return Checksum(ip, 0) == 0 && Checksum(tcp, PseudoSum(ip[12:16], ip[16:20], protocolTCP, len(tcp))) == 0
}
