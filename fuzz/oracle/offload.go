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
	own := map[byte]int{tcp: 16, icmp: 2}
	switch offset, exact := own[l.protocol]; { // it must not change checked fields: ports, lengths, flags, the packet that an ICMP error quotes
	case exact && (start != l.transport || int(h.CsumOffset) != offset), l.protocol == udp && field < l.transport+6:
		return h, false
	}
	if h.GSOType == noGSO {
		return vnet.Header{Flags: h.Flags, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset}, true
	}
	headers, ok := segmentHeaders(h, frame, l)
	h.HdrLen = uint16(headers)
	if h.GSOType == gsoFragments {
		h.GSOSize = h.GSOSize / 8 * 8
	}
	most := 1024
	if h.GSOType == gsoUDP {
		most = 128
	}
	return h, ok && len(frame)-headers <= most*int(h.GSOSize)
}

// segmentHeaders returns the length of all headers of a frame to segment. It reports false if the frame does not match its GSO type.
func segmentHeaders(h vnet.Header, frame []byte, l layers) (int, bool) {
	if l.fragment || h.GSOSize == 0 || int(h.CsumStart) != l.transport {
		return 0, false
	}
	switch {
	case h.GSOType == gsoUDP:
		return l.transport + 8, l.protocol == udp && h.CsumOffset == 6 && l.transport+8 <= l.end
	case h.GSOType == gsoFragments: // the UDP header is payload of the first
		udpFits := l.protocol == udp && h.CsumOffset == 6 && l.transport+8 <= l.end
		return l.transport, l.ethertype == typeIPv4 && h.GSOSize >= 8 && udpFits
	case h.GSOType&^gsoECN == gsoTCP4 && l.ethertype == typeIPv4, h.GSOType&^gsoECN == gsoTCP6 && l.ethertype == typeIPv6:
		if l.protocol != tcp {
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
	if segment := int(h.HdrLen) + int(h.GSOSize); h.GSOType != noGSO && segment < len(frame) {
		return segment
	}
	return len(frame)
}
