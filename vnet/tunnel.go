package vnet

// Segmentation in a tunnel: the frame has two IP packets, and every segment has a copy of the headers of both. Tunnels are those over UDP, such as VXLAN
// and Geneve, GRE, and IP in IP.
//
// The header of virtio 1.2 says only where the inner transport header is, and no kernel takes it for such a frame. A packet socket of Linux gives it
// to the receiver all the same (virtio_net_hdr_from_skb, linux/virtio_net.h): Check finds the inner packet, and adds GSOTunnelIPv4 or
// GSOTunnelIPv6. A later version of virtio-net has these flags with a longer header, which this package does not need.

import "encoding/binary"

// Protocols of a tunnel besides UDP (RFC 2003, RFC 4213, RFC 2784).
const (
	protocolIPv4 = 4
	protocolIPv6 = 41
	protocolGRE  = 47

	greLen      = 4      // without options
	greUncopied = 0x9007 // bits of a GRE header whose value differs between segments (checksum, sequence number), and the version
)

// maxTunnel is the largest distance in bytes of the outer transport header and the inner IP header: UDP, Geneve with all its options (RFC 8926,
// section 3.4), and Ethernet with two tags fit. It bounds the cost of a segment.
const maxTunnel = 320

// tunnelFlag returns the flag for a tunnel whose outer packet is l.
func (l *layout) tunnelFlag() uint8 {
	if l.ethertype == etherIPv6 {
		return GSOTunnelIPv6
	}
	return GSOTunnelIPv4
}

// inside returns the layout of the inner packet of a tunnel, whose transport header is at start. It reports false if there is none that ends where the
// outer packet ends, or if the tunnel's own header would not be the same for each segment.
func (l *layout) inside(frame []byte, start int) (inner layout, ok bool) {
	first := l.transport
	switch l.protocol {
	case protocolUDP:
		first += udpLen
	case protocolGRE:
		first += greLen
		if first > start || binary.BigEndian.Uint16(frame[l.transport:])&greUncopied != 0 {
			return layout{}, false
		}
	case protocolIPv4, protocolIPv6:
	default:
		return layout{}, false
	}
	for length := ipv4Len; length <= maxIPv4Len; length += 4 {
		inner = layout{ethertype: etherIPv4, network: start - length}
		if l.encloses(&inner, first) && inner.ipv4(frame[inner.network:l.end]) && l.endsWith(&inner, start) && Checksum(frame[inner.network:start], 0) == 0 {
			return inner, true
		}
	}
	inner = layout{ethertype: etherIPv6, network: start - ipv6Len}
	return inner, l.encloses(&inner, first) && inner.ipv6(frame[inner.network:l.end]) && l.endsWith(&inner, start)
}

// encloses reports whether an inner packet may begin at its offset.
func (l *layout) encloses(inner *layout, first int) bool {
	return inner.network >= first && inner.network <= min(l.transport+maxTunnel, l.end)
}

// endsWith reports whether the inner packet is not a fragment, and ends where the outer one ends.
func (l *layout) endsWith(inner *layout, start int) bool {
	return inner.transport == start && inner.end == l.end && !inner.fragment
}

// writeOuter changes the outer headers to those of one segment. A UDP checksum of 0 stays: the tunnel has none.
func (s *Segments) writeOuter(segment []byte) {
	l := &s.outer
	s.writeNetwork(segment, l)
	if l.protocol != protocolUDP {
		return
	}
	datagram := segment[l.transport:]
	binary.BigEndian.PutUint16(datagram[4:], uint16(len(datagram)))
	if binary.BigEndian.Uint16(datagram[udpChecksum:]) != 0 {
		writeChecksum(datagram, udpChecksum, addressSum(segment, l)+uint32(len(datagram)))
	}
}
