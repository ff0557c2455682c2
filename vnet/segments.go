package vnet

// Segmentation in software, for an egress that cannot take a frame larger than its MTU. Each segment gets the headers of
// the large frame; what differs from segment to segment is:
//
//	IPv4   total length, identification (one more each time), header checksum
//	IPv6   payload length
//	TCP    sequence number, checksum; FIN and PSH only on the last, CWR only on the first
//	UDP    length, checksum

import "encoding/binary"

// Flags in byte 13 of a TCP header (RFC 9293, section 3.1; RFC 3168, section 6.1).
const (
	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpCWR = 0x80
)

// Segments hands out the wire-ready frames of one frame, in order. It borrows the frame: neither may change until the
// last segment is out. The zero value is done.
type Segments struct {
	header  Header
	frame   []byte
	layout  layout
	pseudo  uint32 // the pseudo-header's sum without the length
	index   uint16 // of the next segment
	payload int    // first byte of the next segment's payload
	left    bool   // there is a next segment
}

// Cut starts to segment a frame. A frame without GSO is one piece. The header must have passed Check with this frame;
// the frame is never modified.
func Cut(h Header, frame []byte) Segments {
	s := Segments{header: h, frame: frame, left: true}
	if h.GSOType != GSONone {
		s.layout.locate(frame)
		s.payload = int(h.HdrLen)
		s.pseudo = addressSum(frame, &s.layout)
	}
	return s
}

// Next writes the next frame into dst, which must not overlap the frame that is cut, and returns its length in bytes. All
// its checksums are complete. It returns 0 when there is no other, and also when dst is too small; WireLen bytes are
// always enough. After the latter, which Done tells apart, the same segment is still the next one.
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
	s.writeNetwork(segment)
	s.writeTransport(segment, last)
	s.payload += size
	s.index++
	s.left = !last
	return len(segment)
}

// Done tells whether every segment has been handed out.
func (s *Segments) Done() bool { return !s.left }

// whole hands out a frame that is not to be segmented.
func (s *Segments) whole(dst []byte) int {
	if len(dst) < len(s.frame) {
		return 0
	}
	s.left = false
	n := copy(dst, s.frame)
	Complete(s.header, dst[:n])
	return n
}

// writeNetwork makes the IP header that of one segment.
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

// writeTransport makes the TCP or UDP header that of one segment.
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
