package vnet

import "encoding/binary"

// A Transport says where a TCP or UDP packet has its checksum, as an offset in bytes in the frame.
type Transport struct {
	Checksum int
	IsUDP    bool
}

// ReplaceIPv4 replaces one of the addresses of a TCP or UDP packet over IPv4, which is no fragment, and corrects its checksums (RFC 1624). ip is
// the offset of the IPv4 header in the frame, and at that of the address. An unfinished checksum stays unfinished: it is the sum of the
// pseudo-header and not its complement. In a tunnel, only the inner packet may have one. A UDP datagram without a checksum stays without one. The offsets must lie within the frame.
func ReplaceIPv4(h Header, frame []byte, ip, at int, to [4]byte, t Transport) {
	before := [4]byte(frame[at:])
	copy(frame[at:], to[:])
	correct := func(sum []byte) {
		for i := 0; i < len(to); i += 2 {
			from, word := binary.BigEndian.Uint16(before[i:]), binary.BigEndian.Uint16(to[i:])
			binary.BigEndian.PutUint16(sum, UpdateChecksum(binary.BigEndian.Uint16(sum), from, word))
		}
	}
	correct(frame[ip+10:])
	sum := frame[t.Checksum : t.Checksum+2]
	switch {
	case h.Flags&FlagNeedsChecksum != 0 && int(h.CsumStart)+int(h.CsumOffset) == t.Checksum:
		sum[0], sum[1] = ^sum[0], ^sum[1]
		correct(sum)
		sum[0], sum[1] = ^sum[0], ^sum[1]
	case t.IsUDP && sum[0]|sum[1] == 0: // RFC 768
	default:
		correct(sum)
		if t.IsUDP && sum[0]|sum[1] == 0 {
			sum[0], sum[1] = 0xff, 0xff
		}
	}
}
