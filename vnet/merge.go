package vnet

// Merging in software, for an ingress that delivers the frames of a flow one by one: one large frame costs the switch and the receiving
// kernel little more than a small one. Linux calls this GRO. The rules here are narrower: frames are merged only if segmentation
// restores the same frames byte for byte. Segmentation computes the checksums again, so that frames with wrong checksums are not
// merged: their fault would be hidden. If the sender has left the checksum incomplete, the restored frames have it completed; if the
// kernel has verified it, it is not verified again.
//
// merge_tcp.go and merge_udp.go have the additional rules for TCP and UDP.

import "encoding/binary"

// maxPacket is the largest IPv4 packet in bytes.
const maxPacket = 65535

// maxMerged is the largest number of frames in a run: the number of datagrams that Linux merges (UDP_GRO_CNT_MAX,
// net/ipv4/udp_offload.c) and that all supported kernels can cut (UDP_MAX_SEGMENTS, linux/udp.h; later kernels allow more). In a switch a
// run has at most vswitch.BatchSize frames, 32, because ports merge within one batch.
const maxMerged = 64

// transportAt is the offset of the transport header in a frame that can be merged: it has no VLAN tags and no IP options.
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

// A Run merges consecutive frames of one TCP or UDP flow over IPv4 into one frame to segment:
//
//	run.Start(h, frame)
//	for run.Add(nextHeader, nextFrame) {
//		…
//	}
//	h, frame = run.Frame()
//
// The zero value must be started before it merges anything. A Run may be started again after Frame. It must not be used concurrently.
type Run struct {
	Datagrams bool // also merge UDP; the receiver must accept GSOUDPL4

	header  Header // of every frame
	frame   []byte // the first frame; its capacity bounds the merged one
	length  int    // bytes of the merged frame
	headers int    // bytes of all headers
	size    int    // payload bytes of each frame except the last
	count   int    // number of frames
	open    bool   // more frames may follow
}

// Start begins a run with a frame and its header, which need not have passed Check. The run uses the frame's memory until Frame returns,
// including the bytes between the frame's length and its capacity, to which Add appends.
func (r *Run) Start(h Header, frame []byte) {
	r.header, r.frame, r.length, r.count, r.open = h, frame, len(frame), 1, true
}

// Add appends the payload of a frame to the run if the frame continues it, and reports whether it did. The frame may lie in the capacity
// of the first one, behind everything that was added before. After Add has reported false, end the run with Frame.
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
	copy(r.frame[r.length:total], frame[r.headers:]) // may overwrite the frame's own headers, which are not needed any more
	r.length, r.count = total, r.count+1
	return true
}

// Frame ends the run and returns the result: a frame to segment with its header, or the unchanged first frame and its header if nothing
// was added. The frame has the memory of the first one.
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

// precedes reports whether a frame has the Ethernet header, the IPv4 header and the ports of the run's next frame, except length and
// checksum. It comes first because it rejects nearly every frame of another flow.
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

// begin examines the first frame when a second one of its flow arrives, and sets headers and size. It reports false if the frame cannot
// be merged. A frame without DF is such a frame: it could be fragmented on its path, but not as part of a frame to segment.
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

// mayMerge reports whether frames with this header can be merged: no flags, a verified checksum, or a checksum to complete at the transport
// header's field.
func mayMerge(h Header, field uint16) bool {
	return h == Header{} || h == Header{Flags: FlagDataValid} ||
		h == Header{Flags: FlagNeedsChecksum, CsumStart: transportAt, CsumOffset: field}
}

// fits reports whether the lengths and the transport header of a frame continue the run.
func (r *Run) fits(frame []byte) bool {
	if !isWhole(frame) {
		return false
	}
	if frame[protocolAt] == protocolUDP {
		return datagramHeaders(frame) == r.headers
	}
	return segmentHeaders(frame) == r.headers && r.precedesSegment(frame)
}

// verifies reports whether the checksums of a frame are right. A checksum that the kernel has verified is not computed; for one that is to
// be completed, the sum of the pseudo-header must be right.
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

// isWhole reports whether the IPv4 packet fills the frame exactly.
func isWhole(frame []byte) bool {
	return int(binary.BigEndian.Uint16(frame[totalLengthAt:])) == len(frame)-ethernetLen
}

// pseudoSum returns the sum of the pseudo-header of a frame's TCP segment or UDP datagram.
func pseudoSum(frame []byte) uint32 {
	return PseudoSum(frame[sourceAt:destinationAt], frame[destinationAt:transportAt], frame[protocolAt], len(frame)-transportAt)
}
