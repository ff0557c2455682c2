package vnet

// Segmentation in software, for an egress that accepts no frame larger than its MTU. Each segment has a copy of the frame's headers with
// these changes:
//
//	IPv4   total length, identification (incremented for each segment, except for fragments), header checksum
//	IPv6   payload length
//	TCP    sequence number, checksum; FIN and PSH only in the last segment, with GSOECN CWR only in the first
//	UDP    length, checksum
//
// In a tunnel these changes apply to both packets (tunnel.go).
//
// With GSOUDP the segments are the fragments of one datagram: only the first has a UDP header, with the checksum of the datagram. Over IPv4 all
// have a copy of the IP header without DF, as from Linux (inet_gso_segment, net/ipv4/af_inet.c). Over IPv6 they have a fragment header; a
// datagram that needs no second fragment has none (RFC 8021).

import (
	"encoding/binary"
	"hash/crc32"
)

// fragmentLen is the length in bytes of the fragment header of IPv6 (RFC 8200, section 4.5).
const fragmentLen = 8

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
	layout  layout // in a tunnel, of the inner packet
	outer   layout // of the other one
	pseudo  uint32 // sum of the pseudo-header without the length
	id      uint32 // identification of the fragments over IPv6
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
		if s.isInTunnel() {
			s.outer = s.layout
			s.layout, _ = s.outer.inside(frame, int(h.CsumStart))
		}
		if h.GSOType == GSOUDP {
			s.payload = s.layout.transport
		}
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
	if s.isWhole() {
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
		s.writeNetwork(segment, &s.layout)
		s.writeTransport(segment, last)
	}
	if s.isInTunnel() {
		s.writeOuter(segment)
	}
	s.payload += size
	s.index++
	s.left = !last
	return len(segment)
}

// Done reports whether Next has returned every segment.
func (s *Segments) Done() bool { return !s.left }

func (s *Segments) isInTunnel() bool { return s.header.GSOType&(GSOTunnelIPv4|GSOTunnelIPv6) != 0 }

// isWhole reports whether the frame is not to be segmented, or is a datagram over IPv6 that fits into one packet.
func (s *Segments) isWhole() bool {
	l := &s.layout
	return s.header.GSOType == GSONone ||
		s.header.GSOType == GSOUDP && l.ethertype == etherIPv6 && l.end-l.transport <= int(s.header.GSOSize)
}

// whole writes a frame that is not to be segmented.
func (s *Segments) whole(dst []byte) int {
	frame := s.frame
	if s.header.GSOType != GSONone {
		frame = frame[:s.layout.end] // without padding, for which WireLen has no room
	}
	if len(dst) < len(frame) {
		return 0
	}
	s.left = false
	n := copy(dst, frame)
	Complete(s.header, dst[:n])
	return n
}

// writeNetwork changes an IP header to that of one segment.
func (s *Segments) writeNetwork(segment []byte, l *layout) {
	ip := segment[l.network:]
	if l.ethertype == etherIPv6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ipv6Len))
		return
	}
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+s.index)
	writeIPv4Checksum(segment[l.network:l.transport])
}

// writeFragment changes the IP header to that of one fragment, and in the first fragment writes the UDP checksum.
func (s *Segments) writeFragment(segment []byte, last bool) {
	ip, offset := segment[s.layout.network:], s.payload-s.layout.transport
	if s.layout.ethertype == etherIPv6 {
		s.writeFragmentHeader(ip, offset, last)
	} else {
		field := uint16(offset / 8)
		if !last {
			field |= moreFragments
		}
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		binary.BigEndian.PutUint16(ip[6:], field)
		writeIPv4Checksum(segment[s.layout.network:s.layout.transport])
	}
	if s.index > 0 {
		return
	}
	first := segment[s.header.HdrLen:] // its length is even, unless it is all
	first[udpChecksum], first[udpChecksum+1] = 0, 0
	behind := s.frame[s.layout.transport+len(first) : s.layout.end]
	length := uint32(s.layout.end - s.layout.transport)
	putNonZero(first[udpChecksum:], Checksum(behind, uint32(Sum(first, s.pseudo+length))))
}

// writeFragmentHeader writes an IPv6 header's changes and the fragment header behind it. The identification depends on the datagram alone: a
// receiver may take the fragments of two equal datagrams for each other.
func (s *Segments) writeFragmentHeader(ip []byte, offset int, last bool) {
	if s.index == 0 {
		s.id = crc32.Checksum(s.frame[s.layout.network+8:s.layout.end], crc32.MakeTable(crc32.Castagnoli))
	}
	binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ipv6Len))
	ip[6] = extensionFragment
	field := uint16(offset) // a multiple of 8
	if !last {
		field |= 1
	}
	ip[ipv6Len], ip[ipv6Len+1] = protocolUDP, 0
	binary.BigEndian.PutUint16(ip[ipv6Len+2:], field)
	binary.BigEndian.PutUint32(ip[ipv6Len+4:], s.id)
}

// writeTransport changes the TCP or UDP header to that of one segment.
func (s *Segments) writeTransport(segment []byte, last bool) {
	transport := segment[s.layout.transport:]
	if s.layout.protocol == protocolUDP {
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
