package vnet

import "encoding/binary"

// IPv6 has what the headers of an IPv6 packet say. Offsets are from the first byte of the packet.
type IPv6 struct {
	Protocol  uint8 // of the first header that is not an extension header; of a later fragment, of its first header
	Transport int   // first byte behind the extension headers
	End       int   // first byte behind the packet, where padding may follow; 0 if the packet's length is wrong, or it is a jumbogram
	Offset    int   // of a fragment within the packet's payload, in bytes
	Fragment  bool  // one of several fragments
	Routed    bool  // a routing header names further hops, behind the destination in the packet's header
}

// Parse walks the headers of an IPv6 packet (RFC 8200, section 4), eight extension headers at most. It reports false if the packet ends
// within them, or has more.
func (h *IPv6) Parse(packet []byte) bool {
	if len(packet) >= ipv6Len && packet[0]>>4 == 6 && !isExtension(packet[6]) { // most packets
		h.Protocol, h.Transport, h.Offset, h.Fragment, h.Routed = packet[6], ipv6Len, 0, false, false
		if h.End = ipv6Len + int(binary.BigEndian.Uint16(packet[4:])); h.End > len(packet) {
			h.End = 0
		}
		return true
	}
	var l layout
	ok := l.ipv6(packet)
	*h = IPv6{l.protocol, l.transport, l.end, l.offset, l.fragment, l.routed}
	return ok
}
