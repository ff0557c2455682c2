package oracle

import (
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// Flags and types of virtio 1.2, section 5.1.6, and of linux/virtio_net.h.
const (
	needsChecksum = 1
	dataValid     = 2
	noGSO         = 0
	gsoTCP4       = 1
	gsoFragments  = 3
	gsoTCP6       = 4
	gsoUDP        = 5
	gsoECN        = 0x80
	gsoTunnel4    = 0x20
	gsoTunnel6    = 0x40
)

// Exact returns the exact offload header for the frame. It reports false if the header does not fit the frame. The rules are those of
// vnet.Check.
func Exact(h vnet.Header, frame []byte) (vnet.Header, bool) {
	if h == (vnet.Header{}) {
		return h, true
	}
	if h.Flags > needsChecksum+dataValid {
		return h, false
	}
	if h.Flags&needsChecksum == 0 {
		return vnet.Header{Flags: h.Flags}, h.GSOType == noGSO
	}
	start, field := int(h.CsumStart), int(h.CsumStart)+int(h.CsumOffset)
	if len(frame) < field+2 {
		return h, false
	}
	l, ok := readLayers(frame)
	if !ok || l.ethertype == typeARP || start < l.transport {
		return h, false
	}
	own := map[byte]int{tcp: 16, icmp: 2, 58: 2}
	switch offset, exact := own[l.protocol]; { // it must not change checked fields: ports, lengths, flags, the packet that an ICMP error quotes
	case exact && (start != l.transport || int(h.CsumOffset) != offset), l.protocol == udp && field < l.transport+6:
		return h, false
	}
	if h.GSOType == noGSO {
		return vnet.Header{Flags: h.Flags, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset}, true
	}
	if start == l.transport {
		return exactSegments(h, frame, l)
	}
	flag := map[uint16]byte{typeIPv4: gsoTunnel4, typeIPv6: gsoTunnel6}[l.ethertype]
	inner, ok := innerLayers(frame, l, start)
	h.GSOType &^= flag
	if !ok || l.fragment || h.GSOType == gsoFragments {
		return h, false
	}
	h, ok = exactSegments(h, frame, inner)
	h.GSOType |= flag
	return h, ok
}

// exactSegments returns the exact header for the packet to segment.
func exactSegments(h vnet.Header, frame []byte, l layers) (vnet.Header, bool) {
	headers, ok := segmentHeaders(h, frame, l)
	h.HdrLen = uint16(headers)
	most, copied := 1024, headers
	switch h.GSOType {
	case gsoFragments:
		h.GSOSize, copied = h.GSOSize/8*8, l.transport
	case gsoUDP:
		most = 128
	}
	return h, ok && len(frame)-copied <= most*int(h.GSOSize)
}

// innerLayers returns the layers of the packet in a tunnel whose transport header is at start: over UDP, in GRE without checksum and sequence number,
// or in IP, at most 320 bytes behind the outer IP header.
func innerLayers(frame []byte, outer layers, start int) (layers, bool) {
	least := map[byte]int{udp: 8, 47: 4, 4: 0, 41: 0}
	room, known := least[outer.protocol]
	if outer.protocol == 47 && (len(frame) < outer.transport+2 || word(frame, outer.transport)&0x9007 != 0) {
		return layers{}, false
	}
	for at := start - 20; known && at >= start-60; at -= 4 {
		if at < outer.transport+room || at > outer.transport+320 || at > outer.end {
			continue
		}
		l, ok := readIPv4Layers(layers{ethertype: typeIPv4, network: at}, frame[at:outer.end])
		if ok && l.transport == start && l.end == outer.end && !l.fragment && onesSum(frame[at:start]) == 0xffff {
			return l, true
		}
	}
	at := start - 40
	if !known || at < outer.transport+room || at > outer.transport+320 || at > outer.end {
		return layers{}, false
	}
	l, ok := readIPv6Layers(layers{ethertype: typeIPv6, network: at}, frame[at:outer.end])
	return l, ok && l.transport == start && l.end == outer.end && !l.fragment
}

// segmentHeaders returns the length of all headers of a frame to segment. It reports false if the frame does not match its GSO type.
func segmentHeaders(h vnet.Header, frame []byte, l layers) (int, bool) {
	if l.fragment || h.GSOSize == 0 {
		return 0, false
	}
	switch {
	case h.GSOType == gsoUDP:
		return l.transport + 8, l.protocol == udp && h.CsumOffset == 6 && l.transport+8 <= l.end
	case h.GSOType == gsoFragments: // the UDP header is payload of the first
		udpFits := l.protocol == udp && h.CsumOffset == 6 && l.transport+8 <= l.end && h.GSOSize >= 8
		if l.ethertype == typeIPv6 { // each has a fragment header
			return l.transport + 8, udpFits && l.transport == l.network+40
		}
		return l.transport, udpFits
	case h.GSOType&^gsoECN == gsoTCP4 && l.ethertype == typeIPv4, h.GSOType&^gsoECN == gsoTCP6 && l.ethertype == typeIPv6:
		if l.protocol != tcp || h.CsumOffset != 16 {
			return 0, false
		}
		header := int(frame[l.transport+12]/16) * 4
		return l.transport + header, header >= 20 && l.transport+header <= l.end
	}
	return 0, false
}

// lowered returns a frame whose fragments, if it is a datagram to be cut into those, have at most so many bytes.
func lowered(f vswitch.Frame, most int) vswitch.Frame {
	if size := (most - int(f.Offload.HdrLen)) / 8 * 8; f.Offload.GSOType == gsoFragments && size >= 8 && size < int(f.Offload.GSOSize) {
		f.Offload.GSOSize = uint16(size)
	}
	return f
}

// wireLength returns the length of the largest frame that results from segmentation. The header is exact.
func wireLength(h vnet.Header, frame []byte) int {
	segment := int(h.HdrLen) + int(h.GSOSize)
	fragments := h.GSOType == gsoFragments && int(h.CsumStart)+int(h.GSOSize) < len(frame)
	if h.GSOType != noGSO && (segment < len(frame) || fragments) {
		return segment
	}
	return len(frame)
}
