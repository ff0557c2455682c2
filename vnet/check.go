package vnet

// A header is checked once, where the frame enters the switch. Later code indexes by it without further checks.
//
// To complete a checksum is to write two bytes at an offset that the sender has chosen. With a free choice, a guest could make the kernel
// overwrite the source address, a port or the TCP flags after the switch has checked them. Check therefore accepts only offsets
// of fields that no forwarder examines.

// Offsets of the checksum field within a transport header, in bytes (RFC 9293, section 3.1; RFC 768; RFC 792).
const (
	tcpChecksum  = 16
	udpChecksum  = 6
	icmpChecksum = 2
)

// Check reports whether h fits the frame. If it does, Check makes h exact: HdrLen becomes the length of all headers of a frame to
// segment, for which a sender gives only a hint, and fields without a meaning become 0. Otherwise h is unchanged.
//
// The zero header fits every frame, even one that is too short for Ethernet. For other headers, the rules are those of virtio 1.2,
// section 5.1.6.2, and of linux/virtio_net.h, with some restrictions:
//
//   - Flags has no bits besides FlagNeedsChecksum and FlagDataValid.
//   - With FlagNeedsChecksum, the checksum field lies within the frame, behind the Ethernet header and, in an IP packet, behind the IP
//     header. For TCP, ICMP and ICMPv6, it is the packet's own checksum field. For UDP, it lies behind the ports and the length, and may
//     belong to a packet in a tunnel. An ARP packet has none.
//   - A GSOType other than GSONone is GSOTCPv4 or GSOTCPv6, with or without GSOECN, or GSOUDPL4. It requires FlagNeedsChecksum, a GSOSize
//     above 0, and a packet of that type: not a fragment, with a length within the frame and a complete transport header, with
//     CsumStart at that header and CsumOffset at its checksum field. The packet may be in a tunnel; Check then adds GSOTunnelIPv4 or
//     GSOTunnelIPv6, which a sender need not know. GSOUDP is the same without a tunnel, with a GSOSize of at least 8, and over IPv6
//     without extension headers.
//   - A frame yields at most 1024 TCP segments or fragments, or 128 UDP datagrams, because cutting has a cost for each. Linux sends more only to a peer
//     that announces an MSS below 64 bytes. The bound counts everything behind the headers, as a kernel that cuts the frame does.
//
// A frame to segment whose payload is not larger than GSOSize fits; it yields one segment.
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

// mayComplete reports whether the transport header allows a checksum field at the offset in h.
func (l *layout) mayComplete(h *Header) bool {
	switch l.protocol {
	case protocolTCP:
		return int(h.CsumStart) == l.transport && h.CsumOffset == tcpChecksum
	case protocolUDP:
		return int(h.CsumStart)+int(h.CsumOffset) >= l.transport+udpChecksum
	case protocolICMP, protocolICMPv6:
		return int(h.CsumStart) == l.transport && h.CsumOffset == icmpChecksum
	}
	return true
}

// checkGSO checks what a GSO frame needs beyond a checksum to complete, and sets h.HdrLen and the flag of a tunnel.
func checkGSO(h *Header, frame []byte, l *layout) bool {
	if l.fragment || h.GSOSize == 0 {
		return false
	}
	tunnel := uint8(0)
	if int(h.CsumStart) != l.transport {
		inner, ok := l.inside(frame, int(h.CsumStart))
		if !ok {
			return false
		}
		tunnel, l = l.tunnelFlag(), &inner
	}
	kind := h.GSOType &^ tunnel
	if kind == GSOUDP && tunnel != 0 {
		return false
	}
	headerLen := headersOf(kind, h, frame, l)
	if headerLen == 0 {
		return false
	}
	size, start := h.GSOSize, headerLen
	if kind == GSOUDP {
		size &^= 7
		start = l.transport // the first fragment has the UDP header as payload
	}
	payload := len(frame) - start // a kernel cuts the whole frame, whatever length its IP header states
	if most := mostSegments(kind); payload > most*int(size) {
		return false
	}
	h.GSOType, h.GSOSize = kind|tunnel, size
	h.HdrLen = uint16(headerLen) // fits: eight extension headers and a tunnel have less than 18 KiB
	return true
}

// headersOf returns the length of all headers of each segment, or 0 if the packet does not fit the GSO type.
func headersOf(kind uint8, h *Header, frame []byte, l *layout) int {
	ethertype := l.ethertype
	switch kind {
	case GSOTCPv4, GSOTCPv4 | GSOECN:
		ethertype = etherIPv4
	case GSOTCPv6, GSOTCPv6 | GSOECN:
		ethertype = etherIPv6
	case GSOUDPL4:
	case GSOUDP:
		if h.GSOSize < 8 || ethertype == etherIPv6 && l.transport != l.network+ipv6Len {
			return 0
		}
	default:
		return 0
	}
	length := transportLen(kind, h, frame, l)
	if l.ethertype != ethertype || length == 0 || l.transport+length > l.end {
		return 0
	}
	switch {
	case kind != GSOUDP:
		return l.transport + length
	case ethertype == etherIPv6:
		return l.transport + fragmentLen
	}
	return l.transport
}

// mostSegments returns the largest number of segments of a frame. That of UDP is the kernel's limit (UDP_MAX_SEGMENTS, linux/udp.h).
func mostSegments(gsoType uint8) int {
	if gsoType == GSOUDPL4 {
		return 128
	}
	return 1024
}

// transportLen returns the length in bytes of the transport header, or 0 if it does not match the GSO type.
func transportLen(kind uint8, h *Header, frame []byte, l *layout) int {
	if kind == GSOUDPL4 || kind == GSOUDP {
		if l.protocol != protocolUDP || h.CsumOffset != udpChecksum {
			return 0
		}
		return udpLen
	}
	if l.protocol != protocolTCP || h.CsumOffset != tcpChecksum {
		return 0
	}
	// The checksum field at offset 16 lies within the frame, and so does the data offset at 12.
	headerLen := int(frame[l.transport+12]>>4) * 4
	if headerLen < tcpLen {
		return 0
	}
	return headerLen
}

// WireLen returns the length in bytes of the largest frame that results from segmentation: of a full segment, or of the frame itself if
// it is not to be segmented. The header must have passed Check with this frame.
func WireLen(h Header, frame []byte) int {
	if h.GSOType == GSONone {
		return len(frame)
	}
	most := int(h.HdrLen) + int(h.GSOSize)
	if h.GSOType == GSOUDP && len(frame) > int(h.CsumStart)+int(h.GSOSize) {
		return most // longer than the frame, if its last bytes fit into two fragments but not with a fragment header into one
	}
	return min(len(frame), most)
}
