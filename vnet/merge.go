package vnet

// Merging in software, for an ingress that delivers the frames of a flow one by one: one large frame costs the switch and the receiving
// kernel little more than a small one. Linux calls this GRO. The rules here are narrower: frames are merged only if segmentation
// restores the same frames byte for byte. Segmentation computes the checksums again, so that frames with wrong checksums are not
// merged: their fault would be hidden. If the sender has left the checksum incomplete, the restored frames have it completed; if the
// kernel has verified it, it is not verified again.
//
// merge_tcp.go and merge_udp.go have the additional rules for TCP and UDP.

import "encoding/binary"

// maxPacket is the largest IPv4 packet in bytes, and the largest IPv6 packet that a run becomes: kernels expect no more of a device that
// does not announce BIG TCP.
const maxPacket = 65535

// maxMerged is the largest number of frames in a run: the number of datagrams that Linux merges (UDP_GRO_CNT_MAX,
// net/ipv4/udp_offload.c) and that all supported kernels can cut (UDP_MAX_SEGMENTS, linux/udp.h; later kernels allow more). In a switch a
// run has at most vswitch.BatchSize frames, 32, because ports merge within one batch.
const maxMerged = 64

// Offsets of the transport header in a frame that can be merged: it has no VLAN tags, no IP options and no extension headers.
const (
	transport4 = ethernetLen + ipv4Len
	transport6 = ethernetLen + ipv6Len
)

// Offsets in such a frame over IPv4, in bytes (RFC 791, section 3.1).
const (
	totalLengthAt    = ethernetLen + 2
	identificationAt = ethernetLen + 4
	fragmentAt       = ethernetLen + 6
	protocolAt       = ethernetLen + 9
	sourceAt         = ethernetLen + 12
)

// Offsets in such a frame over IPv6, in bytes (RFC 8200, section 3).
const (
	flowLabelAt     = ethernetLen // behind version and traffic class
	payloadLengthAt = ethernetLen + 4
	nextHeaderAt    = ethernetLen + 6
	source6At       = ethernetLen + 8
)

// A Run merges consecutive frames of one TCP or UDP flow into one frame to segment:
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

	header    Header // of every frame
	frame     []byte // the first frame; its capacity bounds the merged one
	length    int    // bytes of the merged frame
	transport int    // offset of the transport header
	protocol  uint8  // of the transport header
	headers   int    // bytes of all headers
	pseudo    uint32 // sum of the pseudo-header of every frame without the length
	size      int    // payload bytes of each frame except the last
	count     int    // number of frames
	open      bool   // more frames may follow
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
	if r.protocol == protocolTCP {
		segment := frame[r.transport:]
		r.open = r.open && !isLast(segment)
		r.frame[r.transport+tcpFlagsAt] = segment[tcpFlagsAt]
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
	h := Header{Flags: FlagNeedsChecksum, GSOType: GSOTCPv4, HdrLen: uint16(r.headers), GSOSize: uint16(r.size),
		CsumStart: uint16(r.transport), CsumOffset: tcpChecksum}
	if r.transport == transport4 {
		binary.BigEndian.PutUint16(frame[totalLengthAt:], uint16(len(frame)-ethernetLen))
		writeIPv4Checksum(frame[ethernetLen:transport4])
	} else {
		h.GSOType = GSOTCPv6
		binary.BigEndian.PutUint16(frame[payloadLengthAt:], uint16(len(frame)-transport6))
	}
	if r.protocol == protocolUDP {
		h.GSOType, h.CsumOffset = GSOUDPL4, udpChecksum
		putDatagramLength(frame[r.transport:])
	}
	binary.BigEndian.PutUint16(frame[r.transport+int(h.CsumOffset):], Sum(nil, r.pseudoSum(frame)))
	return h, frame
}

// precedes reports whether a frame has the Ethernet header, the IP header and the ports of the run's next frame, except length and
// checksum. It comes first because it rejects nearly every frame of another flow.
func (r *Run) precedes(frame []byte) bool {
	if len(frame) < transport4+udpLen || len(r.frame) < transport4+udpLen {
		return false
	}
	if r.frame[ethernetLen]>>4 == 6 {
		return r.precedesIPv6(frame)
	}
	a, b, native := r.frame[:transport4+udpLen], frame[:transport4+udpLen], binary.NativeEndian
	id := binary.BigEndian.Uint16(a[identificationAt:]) + uint16(r.count)
	return native.Uint64(a[sourceAt:]) == native.Uint64(b[sourceAt:]) && // addresses
		native.Uint32(a[transport4:]) == native.Uint32(b[transport4:]) && // ports
		id == binary.BigEndian.Uint16(b[identificationAt:]) &&
		native.Uint32(a[fragmentAt:]) == native.Uint32(b[fragmentAt:]) && // flags, time to live, protocol
		native.Uint64(a) == native.Uint64(b) &&
		native.Uint64(a[8:]) == native.Uint64(b[8:]) // up to the type of service
}

// precedesIPv6 is precedes of a run over IPv6, which has no identification.
func (r *Run) precedesIPv6(frame []byte) bool {
	if len(frame) < transport6+udpLen || len(r.frame) < transport6+udpLen {
		return false
	}
	a, b, native := r.frame[:transport6+udpLen], frame[:transport6+udpLen], binary.NativeEndian
	return native.Uint32(a[transport6:]) == native.Uint32(b[transport6:]) && // ports
		native.Uint32(a[flowLabelAt:]) == native.Uint32(b[flowLabelAt:]) && // and traffic class
		native.Uint16(a[nextHeaderAt:]) == native.Uint16(b[nextHeaderAt:]) && // and hop limit
		[2 * ipv6AddressLen]byte(a[source6At:]) == [2 * ipv6AddressLen]byte(b[source6At:]) &&
		[ethernetLen]byte(a) == [ethernetLen]byte(b)
}

// begin examines the first frame when a second one of its flow arrives, and sets transport, protocol, headers, size and pseudo. It reports
// false if the frame cannot be merged.
func (r *Run) begin() bool {
	if !r.beginNetwork() || !r.isWhole(r.frame) {
		return false
	}
	segment, field := r.frame[r.transport:], uint16(tcpChecksum)
	length := 0
	switch r.protocol {
	case protocolTCP:
		length = segmentHeader(segment)
		if length > 0 && isLast(segment) {
			return false
		}
	case protocolUDP:
		if !r.Datagrams {
			return false
		}
		length, field = datagramHeader(segment), udpChecksum
	}
	r.headers = r.transport + length
	r.size = len(r.frame) - r.headers
	r.pseudo = r.addressSum()
	return length > 0 && r.mayMerge(field)
}

// beginNetwork examines the IP header of the first frame. An IPv4 packet without DF is not merged: it could be fragmented on its path, but
// not as part of a frame to segment.
func (r *Run) beginNetwork() bool {
	frame := r.frame
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherIPv4:
		r.transport, r.protocol = transport4, frame[protocolAt]
		return frame[ethernetLen] == 0x45 && binary.BigEndian.Uint16(frame[fragmentAt:]) == dontFragment
	case etherIPv6:
		r.transport, r.protocol = transport6, frame[nextHeaderAt]
		return frame[ethernetLen]>>4 == 6
	}
	return false
}

// mayMerge reports whether frames with the run's header can be merged: no flags, a verified checksum, or a checksum to complete at the
// transport header's field.
func (r *Run) mayMerge(field uint16) bool {
	return r.header == Header{} || r.header == Header{Flags: FlagDataValid} ||
		r.header == Header{Flags: FlagNeedsChecksum, CsumStart: uint16(r.transport), CsumOffset: field}
}

// fits reports whether the lengths and the transport header of a frame continue the run.
func (r *Run) fits(frame []byte) bool {
	if !r.isWhole(frame) {
		return false
	}
	segment, length := frame[r.transport:], r.headers-r.transport
	if r.protocol == protocolUDP {
		return datagramHeader(segment) == length
	}
	return segmentHeader(segment) == length && r.precedesSegment(frame)
}

// verifies reports whether the checksums of a frame are right. A checksum that the kernel has verified is not computed; for one that is to
// be completed, the sum of the pseudo-header must be right.
func (r *Run) verifies(frame []byte) bool {
	if r.transport == transport4 && Checksum(frame[ethernetLen:transport4], 0) != 0 {
		return false
	}
	switch r.header.Flags {
	case FlagDataValid:
		return true
	case FlagNeedsChecksum:
		field := frame[r.transport+int(r.header.CsumOffset):]
		return binary.BigEndian.Uint16(field) == Sum(nil, r.pseudoSum(frame))
	}
	return Checksum(frame[r.transport:], r.pseudoSum(frame)) == 0
}

// isWhole reports whether the IP packet fills the frame exactly.
func (r *Run) isWhole(frame []byte) bool {
	if r.transport == transport6 {
		return int(binary.BigEndian.Uint16(frame[payloadLengthAt:])) == len(frame)-transport6
	}
	return int(binary.BigEndian.Uint16(frame[totalLengthAt:])) == len(frame)-ethernetLen
}

// addressSum returns the sum of the pseudo-header of the first frame without the length.
func (r *Run) addressSum() uint32 {
	source := sourceAt
	if r.transport == transport6 {
		source = source6At
	}
	destination := (source + r.transport) / 2
	return PseudoSum(r.frame[source:destination], r.frame[destination:r.transport], r.protocol, 0)
}

// pseudoSum returns the sum of the pseudo-header of a frame's TCP segment or UDP datagram.
func (r *Run) pseudoSum(frame []byte) uint32 { return r.pseudo + uint32(len(frame)-r.transport) }
