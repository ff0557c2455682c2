package vnet

// TCP packets above 64 KiB (BIG TCP of Linux). A receiver of this package's frames takes at most 65535 bytes of IP packet: a larger one is divided into
// frames to segment, not into segments.

import "encoding/binary"

// jumboLen is the length in bytes of the hop-by-hop header of an IPv6 packet above 65535 bytes (RFC 2675), which then is its first header.
const jumboLen = 8

// Parts are the frames to segment that one TCP frame above 64 KiB becomes. Segmentation of the parts yields the segments of the frame. The frame
// must not change until Next has returned the last part. The zero value has none. A Parts must not be used concurrently.
type Parts struct {
	segments Segments
	header   Header
	from     Header // of the frame
}

// Divide returns the parts of a frame to segment whose IP packet has more than 65535 bytes. Its length field is 0 in IPv4, and in IPv6 with or without
// a hop-by-hop header for jumbograms, which the parts lack. Divide removes that header from the frame and changes the bytes in front of
// the packet. It checks the header as Check does and reports false if it does not fit, or for any other frame.
func Divide(h Header, frame []byte) (Parts, bool) {
	if h.GSOType&^GSOECN != GSOTCPv4 && h.GSOType&^GSOECN != GSOTCPv6 {
		return Parts{}, false
	}
	var l layout
	if !l.locate(frame) || len(frame)-l.network <= maxPacket {
		return Parts{}, false
	}
	if l.ethertype == etherIPv6 && isJumbo(frame[l.network:]) {
		frame = withoutJumbo(frame, l.network)
		h.CsumStart -= jumboLen
		if !l.locate(frame) {
			return Parts{}, false
		}
	}
	if !isBig(h, frame, &l) {
		return Parts{}, false
	}
	l.end = len(frame)
	headers := l.transport + int(frame[l.transport+12]>>4)*4
	perPart := min((l.network+maxPacket-headers)/int(h.GSOSize), mostSegments(h.GSOType)) * int(h.GSOSize) // Check takes no more
	if headers > len(frame) || perPart == 0 || len(frame)-headers > 8*mostSegments(h.GSOType)*int(h.GSOSize) {
		return Parts{}, false
	}
	p := Parts{header: h, from: h}
	p.header.HdrLen = uint16(headers)
	p.segments = Segments{header: p.header, frame: frame, layout: l, payload: headers, left: true}
	p.segments.header.GSOSize = uint16(perPart)
	return p, true
}

// isBig reports whether the header fits a TCP packet whose length field is 0.
func isBig(h Header, frame []byte, l *layout) bool {
	length, ethertype := frame[l.network+2:], uint16(etherIPv4)
	if h.GSOType&^GSOECN == GSOTCPv6 {
		length, ethertype = frame[l.network+4:], etherIPv6
	}
	return h.Flags&FlagNeedsChecksum != 0 && h.Flags&^(FlagNeedsChecksum|FlagDataValid) == 0 && l.ethertype == ethertype &&
		binary.BigEndian.Uint16(length) == 0 && l.protocol == protocolTCP && !l.fragment && h.GSOSize > 0 &&
		int(h.CsumStart) == l.transport && h.CsumOffset == tcpChecksum && l.transport+tcpLen <= len(frame) && frame[l.transport+12]>>4 >= tcpLen/4
}

// isJumbo reports whether an IPv6 packet has a hop-by-hop header with the jumbo payload option alone (RFC 2675, section 2).
func isJumbo(packet []byte) bool {
	header := packet[ipv6Len:]
	return packet[6] == extensionHopByHop && len(header) >= jumboLen && header[1] == 0 && header[2] == 0xc2 && header[3] == 4
}

// withoutJumbo removes the hop-by-hop header from a frame: it moves everything in front of it.
func withoutJumbo(frame []byte, network int) []byte {
	frame[network+6] = frame[network+ipv6Len] // next header
	copy(frame[jumboLen:], frame[:network+ipv6Len])
	return frame[jumboLen:]
}

// Next writes the next part to dst and returns its header and its length in bytes; the length is 0 behind the last part. dst must have MaxPart bytes and
// must not overlap the frame.
func (p *Parts) Next(dst []byte) (Header, int) {
	last := p.segments
	n := p.segments.Next(dst)
	if n == 0 {
		return Header{}, 0
	}
	part, l := dst[:n], &p.segments.layout
	if l.ethertype == etherIPv4 { // the identification counts segments, not parts
		before := (last.payload - int(p.header.HdrLen)) / int(p.from.GSOSize)
		id := binary.BigEndian.Uint16(p.segments.frame[l.network+4:]) + uint16(before)
		binary.BigEndian.PutUint16(part[l.network+4:], id)
		writeIPv4Checksum(part[l.network:l.transport])
	}
	pseudo := addressSum(part, l) + uint32(n-l.transport)
	binary.BigEndian.PutUint16(part[l.transport+tcpChecksum:], Sum(nil, pseudo)) // the rest is left to do
	h := p.header
	if last.index > 0 {
		h.GSOType &^= GSOECN // only the first segment has CWR
	}
	return h, n
}

// MaxPart is the length in bytes of the largest part: with two VLAN tags.
const MaxPart = ethernetLen + 2*vlanLen + maxPacket
