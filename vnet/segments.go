package vnet

// Segmentation in software, for an egress that accepts no frame larger than its MTU. Each segment has a copy of the frame's headers with
// these changes:
//
//	IPv4   total length, identification (incremented for each segment, except for fragments), header checksum
//	IPv6   payload length
//	TCP    sequence number, checksum; FIN and PSH only in the last segment, with GSOECN CWR only in the first
//	UDP    length, checksum
//
// With GSOUDP the segments are the fragments of one datagram: only the first has a UDP header, with the checksum of the datagram, and all
// have a copy of the IPv4 header without DF, as from Linux (inet_gso_segment, net/ipv4/af_inet.c).

import "encoding/binary"

// Flags in byte 13 of a TCP header (RFC 9293, section 3.1; RFC 3168, section 6.1).
const (
	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpCWR = 0x80
)

// Segments are the frames that one frame becomes on the wire, in order. The frame must not change until Done reports true. The zero value
// has no segments. A Segments must not be used concurrently.
type Segments struct {
	header  Header
	frame   []byte
	layout  layout
	pseudo  uint32 // sum of the pseudo-header without the length
	index   uint16 // of the next segment
	payload int    // first byte of the next segment's payload
	left    bool   // there is a next segment
}

// Cut returns the segments of a frame. A frame that is not to be segmented yields one, with its checksum completed. The header must have
// passed Check with this frame. Cut does not change the frame.
func Cut(h Header, frame []byte) Segments {
	s := Segments{header: h, frame: frame, left: true}
	if h.GSOType != GSONone {
		s.layout.locate(frame)
		s.payload = int(h.HdrLen)
		s.pseudo = addressSum(frame, &s.layout)
	}
	return s
}

// Next writes the next segment to dst, with complete checksums, and returns its length in bytes. The memory of dst must not overlap the
// frame. If dst is too small, Next returns 0 and the same segment remains the next one; WireLen bytes are always enough. If there is no
// segment left, Next returns 0 and Done reports true.
func (s *Segments) Next(dst []byte) int {
	if !s.left {
		return 0
	}
	if s.header.GSOType == GSONone {
		return s.whole(dst)
	}
	headers := int(s.header.HdrLen)
	size := min(int(s.header.GSOSize), s.layout.end-s.payload)
	if len(dst) < headers+size {
		return 0
	}
	segment := dst[:headers+size]
	copy(segment, s.frame[:headers])
	copy(segment[headers:], s.frame[s.payload:s.payload+size])
	last := s.payload+size == s.layout.end
	if s.header.GSOType == GSOUDP {
		s.writeFragment(segment, last)
	} else {
		s.writeNetwork(segment)
		s.writeTransport(segment, last)
	}
	s.payload += size
	s.index++
	s.left = !last
	return len(segment)
}

// Done reports whether Next has returned every segment.
func (s *Segments) Done() bool { return !s.left }

// whole writes a frame that is not to be segmented.
func (s *Segments) whole(dst []byte) int {
	if len(dst) < len(s.frame) {
		return 0
	}
	s.left = false
	n := copy(dst, s.frame)
	Complete(s.header, dst[:n])
	return n
}

// writeNetwork changes the IP header to that of one segment.
func (s *Segments) writeNetwork(segment []byte) {
	ip := segment[s.layout.network:]
	if s.layout.ethertype == etherIPv6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ipv6Len))
		return
	}
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+s.index)
	writeIPv4Checksum(segment[s.layout.network:s.layout.transport])
}

// writeFragment changes the IPv4 header to that of one fragment, and in the first fragment writes the UDP checksum.
func (s *Segments) writeFragment(segment []byte, last bool) {
	field := uint16((s.payload - s.layout.transport) / 8)
	if !last {
		field |= moreFragments
	}
	ip := segment[s.layout.network:]
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint16(ip[6:], field)
	writeIPv4Checksum(segment[s.layout.network:s.layout.transport])
	if s.index > 0 {
		return
	}
	first := segment[s.layout.transport:] // its length is even, unless it is all
	first[udpChecksum], first[udpChecksum+1] = 0, 0
	behind := s.frame[s.layout.transport+len(first) : s.layout.end]
	length := uint32(s.layout.end - s.layout.transport)
	putNonZero(first[udpChecksum:], Checksum(behind, uint32(Sum(first, s.pseudo+length))))
}

// writeTransport changes the TCP or UDP header to that of one segment.
func (s *Segments) writeTransport(segment []byte, last bool) {
	transport := segment[s.layout.transport:]
	if s.header.GSOType == GSOUDPL4 {
		binary.BigEndian.PutUint16(transport[4:], uint16(len(transport)))
	} else {
		sent := s.payload - int(s.header.HdrLen)
		binary.BigEndian.PutUint32(transport[4:], binary.BigEndian.Uint32(transport[4:])+uint32(sent))
		if !last {
			transport[13] &^= tcpFIN | tcpPSH
		}
		// Without GSOECN a CWR bit is part of Accurate ECN's counter, which every segment carries.
		if s.index > 0 && s.header.GSOType&GSOECN != 0 {
			transport[13] &^= tcpCWR
		}
	}
	writeChecksum(transport, int(s.header.CsumOffset), s.pseudo+uint32(len(transport)))
}

// writeIPv4Checksum writes the checksum of an IPv4 header, options included (RFC 791, section 3.1).
func writeIPv4Checksum(header []byte) {
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], Checksum(header, 0))
}
