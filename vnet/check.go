package vnet

// Check and WireLen judge a header at ingress, once. Everything behind them may index by it without looking again.
//
// A header is more than a hint about work left undone: whoever completes the checksum writes two bytes into the frame, at
// a place that the sender chose. Were that place free, a guest could let the kernel rewrite its source address, a port or
// TCP's flags after the switch has judged them. So the place is one that no forwarder decides on.

// Offsets of the checksum field within a transport header, in bytes (RFC 9293, section 3.1; RFC 768; RFC 792).
const (
	tcpChecksum  = 16
	udpChecksum  = 6
	icmpChecksum = 2
)

// Check tells whether h is possible for the frame, which starts at its destination MAC and may bear one or two VLAN tags.
// The zero header is possible for every frame, also for one too short to be Ethernet.
//
// The rules are those of virtio 1.2, section 5.1.6.2, and of linux/virtio_net.h, and narrower where a kernel trusts:
//   - Flags are FlagNeedsChecksum and FlagDataValid only.
//   - With FlagNeedsChecksum the field lies within the frame and behind the Ethernet header; in an IP packet also behind
//     the IP header. Those of TCP and ICMP are their own, of the whole packet; UDP's lies behind the ports and the length, and may
//     be that of a packet in a tunnel. ARP has no checksum to complete.
//   - A GSO type is GSOTCPv4, GSOTCPv6 (both also with GSOECN) or GSOUDPL4, comes with FlagNeedsChecksum and a GSOSize
//     above 0, and is that of the packet: not a fragment, with a length that lies within the frame, with CsumStart at the
//     transport header, a complete transport header, and CsumOffset at its checksum. It has at most 1024 TCP segments or 128
//     UDP datagrams: Linux sends no more of either, but to a peer that wants segments of less than 64 bytes; and who cuts them
//     pays for each.
//
// When Check returns true it has made h exact: HdrLen is the length of all headers of a GSO frame (what a kernel says is a
// hint only), and fields without a meaning are 0. A frame to segment whose payload fits GSOSize is possible: it is one
// segment. When Check returns false, h is unchanged.
func Check(h *Header, frame []byte) bool {
	return *h == Header{} || check(h, frame)
}

func check(h *Header, frame []byte) bool {
	if h.Flags&^(FlagNeedsChecksum|FlagDataValid) != 0 {
		return false
	}
	if h.Flags&FlagNeedsChecksum == 0 {
		if h.GSOType != GSONone {
			return false
		}
		*h = Header{Flags: h.Flags}
		return true
	}
	field := int(h.CsumStart) + int(h.CsumOffset)
	if field+2 > len(frame) {
		return false
	}
	var l layout
	if !l.locate(frame) || l.ethertype == etherARP || int(h.CsumStart) < l.transport {
		return false
	}
	if !l.mayComplete(h) {
		return false
	}
	if h.GSOType != GSONone {
		return checkGSO(h, frame, &l)
	}
	h.HdrLen, h.GSOSize = 0, 0
	return true
}

// mayComplete tells whether the field may be where h says, given who else reads the transport header.
func (l *layout) mayComplete(h *Header) bool {
	switch l.protocol {
	case protocolTCP:
		return int(h.CsumStart) == l.transport && h.CsumOffset == tcpChecksum
	case protocolUDP:
		return int(h.CsumStart)+int(h.CsumOffset) >= l.transport+udpChecksum
	case protocolICMP:
		return int(h.CsumStart) == l.transport && h.CsumOffset == icmpChecksum
	}
	return true
}

// checkGSO checks what a GSO frame needs beyond a checksum to complete, and sets h.HdrLen.
func checkGSO(h *Header, frame []byte, l *layout) bool {
	var ethertype uint16
	switch h.GSOType {
	case GSOTCPv4, GSOTCPv4 | GSOECN:
		ethertype = etherIPv4
	case GSOTCPv6, GSOTCPv6 | GSOECN:
		ethertype = etherIPv6
	case GSOUDPL4:
		ethertype = l.ethertype
	default:
		return false
	}
	if l.ethertype != ethertype || l.fragment || h.GSOSize == 0 || int(h.CsumStart) != l.transport {
		return false
	}
	headerLen := transportLen(h, frame, l)
	if headerLen == 0 || l.transport+headerLen > l.end {
		return false
	}
	payload := l.end - l.transport - headerLen
	if most := mostSegments(h.GSOType); payload > most*int(h.GSOSize) {
		return false
	}
	h.HdrLen = uint16(l.transport + headerLen) // fits: eight extension headers have less than 17 KiB
	return true
}

// mostSegments is what a GSO frame may become at most; of UDP it is the kernel's own bound (UDP_MAX_SEGMENTS, linux/udp.h).
func mostSegments(gsoType uint8) int {
	if gsoType == GSOUDPL4 {
		return 128
	}
	return 1024
}

// transportLen returns the length in bytes of the transport header that a GSO frame must have, or 0 when there is another.
func transportLen(h *Header, frame []byte, l *layout) int {
	if h.GSOType == GSOUDPL4 {
		if l.protocol != protocolUDP || h.CsumOffset != udpChecksum {
			return 0
		}
		return udpLen
	}
	if l.protocol != protocolTCP {
		return 0
	}
	// The checksum field at 16 is within the frame, and so is the data offset at 12.
	headerLen := int(frame[l.transport+12]>>4) * 4
	if headerLen < tcpLen {
		return 0
	}
	return headerLen
}

// WireLen returns the length in bytes of the largest frame that this frame becomes on the wire: its own without GSO, else
// that of a full segment. The header must have passed Check with this frame.
func WireLen(h Header, frame []byte) int {
	if h.GSOType == GSONone {
		return len(frame)
	}
	return min(len(frame), int(h.HdrLen)+int(h.GSOSize))
}
