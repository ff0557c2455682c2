package vnet

// Merging in software, for an ingress that delivers a flow frame by frame: one large frame costs the switch and the kernel
// behind it little more than one small one. Linux calls this GRO, and the rules are narrower here: a run of frames is merged only
// if cutting it gives back the same frames, byte by byte. Who cuts also makes the checksums anew, so a frame whose checksums are
// wrong is never merged, or its fault would be hidden. Where the sender has left the checksum undone, the same frames are those
// with the checksum completed; where the kernel has verified it, its word is taken.
//
// What TCP and UDP add to the rules stands in merge_tcp.go and merge_udp.go.

import "encoding/binary"

// maxPacket is the largest IPv4 packet in bytes.
const maxPacket = 65535

// maxMerged is the largest number of frames in a run: that of the datagrams that Linux puts into one (UDP_MAX_SEGMENTS and
// UDP_GRO_CNT_MAX of linux/udp.h and net/ipv4/udp_offload.c; later kernels take more).
const maxMerged = 64

// transportAt is where the transport header of a frame starts that can be merged: there are no tags and no IP options.
const transportAt = ethernetLen + ipv4Len

// Offsets in such a frame, in bytes (RFC 791, section 3.1).
const (
	totalLengthAt    = ethernetLen + 2
	identificationAt = ethernetLen + 4
	fragmentAt       = ethernetLen + 6
	protocolAt       = ethernetLen + 9
	sourceAt         = ethernetLen + 12
	destinationAt    = ethernetLen + 16
)

// A Run is an Ethernet frame with a TCP segment or a UDP datagram in an IPv4 packet, and those that were merged into it. In a Run
// that was not started nothing is merged.
type Run struct {
	Datagrams bool // UDP is merged, too: whoever gets the frame takes GSOUDPL4

	header  Header // of each frame
	frame   []byte // the first one; its capacity is the room
	length  int    // of the frame in bytes, with the payload of all that was added
	headers int    // length of all headers in bytes
	size    int    // payload bytes in each frame but the last
	count   int    // frames
	open    bool   // others may follow
}

// Start begins a run with a frame, which stays borrowed, and its header, which need not have passed Check. The bytes between the
// frame's length and its capacity are the room for the payload of what follows.
func (r *Run) Start(h Header, frame []byte) {
	r.header, r.frame, r.length, r.count, r.open = h, frame, len(frame), 1, true
}

// Add appends the payload of a frame if it is the run's next one, and reports whether it did. The frame may lie in the room,
// behind everything that was added before.
func (r *Run) Add(h Header, frame []byte) bool {
	if !r.open || h != r.header || !r.precedes(frame) {
		return false
	}
	if r.count == 1 && !r.begin() {
		r.open = false
		return false
	}
	payload := len(frame) - r.headers
	total := r.length + payload
	if payload < 1 || payload > r.size || total > min(cap(r.frame), ethernetLen+maxPacket) || !r.fits(frame) {
		return false
	}
	if r.count == 1 && !r.verifies(r.frame) || !r.verifies(frame) {
		return false
	}
	r.open = payload == r.size && r.count+1 < maxMerged
	if frame[protocolAt] == protocolTCP {
		r.open = r.open && !isLast(frame)
		r.frame[tcpFlagsAt] = frame[tcpFlagsAt]
	}
	copy(r.frame[r.length:total], frame[r.headers:]) // over the frame's own headers, if it lies in the room
	r.length, r.count = total, r.count+1
	return true
}

// Frame ends the run and returns it: a frame to segment, with its header, if anything was added, and otherwise the first one
// with its header as they were.
func (r *Run) Frame() (Header, []byte) {
	if r.count < 2 {
		return r.header, r.frame
	}
	frame := r.frame[:r.length]
	binary.BigEndian.PutUint16(frame[totalLengthAt:], uint16(len(frame)-ethernetLen))
	writeIPv4Checksum(frame[ethernetLen:transportAt])
	h := Header{Flags: FlagNeedsChecksum, GSOType: GSOTCPv4, HdrLen: uint16(r.headers), GSOSize: uint16(r.size),
		CsumStart: transportAt, CsumOffset: tcpChecksum}
	if frame[protocolAt] == protocolUDP {
		h.GSOType, h.CsumOffset = GSOUDPL4, udpChecksum
		putDatagramLength(frame)
	}
	binary.BigEndian.PutUint16(frame[transportAt+int(h.CsumOffset):], Sum(nil, pseudoSum(frame)))
	return h, frame
}

// precedes is a first look: it tells whether a frame has the Ethernet and IPv4 headers and the ports that cutting the run would
// put next, but for length and checksum. That is the end for nearly every frame of another flow.
func (r *Run) precedes(frame []byte) bool {
	if len(frame) < transportAt+udpLen || len(r.frame) < transportAt+udpLen {
		return false
	}
	a, b, native := r.frame[:transportAt+udpLen], frame[:transportAt+udpLen], binary.NativeEndian
	id := binary.BigEndian.Uint16(a[identificationAt:]) + uint16(r.count)
	return native.Uint64(a[sourceAt:]) == native.Uint64(b[sourceAt:]) && // addresses
		native.Uint32(a[transportAt:]) == native.Uint32(b[transportAt:]) && // ports
		id == binary.BigEndian.Uint16(b[identificationAt:]) &&
		native.Uint32(a[fragmentAt:]) == native.Uint32(b[fragmentAt:]) && // flags, time to live, protocol
		native.Uint64(a) == native.Uint64(b) &&
		native.Uint64(a[8:]) == native.Uint64(b[8:]) // up to the type of service
}

// begin looks at the first frame, which needs no look before another one of its flow follows. One that may be fragmented on its
// way could not be any more as part of a frame to segment.
func (r *Run) begin() bool {
	frame := r.frame
	if binary.BigEndian.Uint16(frame[12:]) != etherIPv4 || frame[ethernetLen] != 0x45 ||
		binary.BigEndian.Uint16(frame[fragmentAt:]) != dontFragment || !isWhole(frame) {
		return false
	}
	field := uint16(tcpChecksum)
	switch frame[protocolAt] {
	case protocolTCP:
		r.headers = segmentHeaders(frame)
		if r.headers > 0 && isLast(frame) {
			return false
		}
	case protocolUDP:
		if !r.Datagrams {
			return false
		}
		r.headers, field = datagramHeaders(frame), udpChecksum
	default:
		return false
	}
	r.size = len(frame) - r.headers
	return r.headers > 0 && mayMerge(r.header, field)
}

// mayMerge tells whether what a header says can also be said of a frame to segment: nothing, that the checksum is right, or that it
// is still to be completed at the transport header's field.
func mayMerge(h Header, field uint16) bool {
	return h == Header{} || h == Header{Flags: FlagDataValid} ||
		h == Header{Flags: FlagNeedsChecksum, CsumStart: transportAt, CsumOffset: field}
}

// fits tells whether a frame of the run's flow can be its next one, by its lengths and its transport header.
func (r *Run) fits(frame []byte) bool {
	if !isWhole(frame) {
		return false
	}
	if frame[protocolAt] == protocolUDP {
		return datagramHeaders(frame) == r.headers
	}
	return segmentHeaders(frame) == r.headers && r.precedesSegment(frame)
}

// verifies checks the checksums of a frame, as far as somebody has to answer for them: one that is still to be completed stands
// on a sum of the pseudo-header that has to be right.
func (r *Run) verifies(frame []byte) bool {
	if Checksum(frame[ethernetLen:transportAt], 0) != 0 {
		return false
	}
	switch r.header.Flags {
	case FlagDataValid:
		return true
	case FlagNeedsChecksum:
		field := frame[transportAt+int(r.header.CsumOffset):]
		return binary.BigEndian.Uint16(field) == Sum(nil, pseudoSum(frame))
	}
	return Checksum(frame[transportAt:], pseudoSum(frame)) == 0
}

// isWhole tells whether the IPv4 packet fills the frame: there is no padding, and nothing is missing.
func isWhole(frame []byte) bool {
	return int(binary.BigEndian.Uint16(frame[totalLengthAt:])) == len(frame)-ethernetLen
}

// pseudoSum returns the sum of the pseudo-header of a frame's TCP segment or UDP datagram.
func pseudoSum(frame []byte) uint32 {
	return PseudoSum(frame[sourceAt:destinationAt], frame[destinationAt:transportAt], frame[protocolAt], len(frame)-transportAt)
}
