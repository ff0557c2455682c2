package oracle

import (
	"encoding/binary"

	"github.com/podswitch/podswitch/vswitch"
)

// fragments cuts an IPv4 frame without DF into frames whose packets have at most mtu bytes (RFC 791, section 3.2), after it has completed
// the transport checksum. A packet that fits without its padding yields one piece. It reports false if the options are malformed, if mtu
// leaves less than 8 bytes of payload, or if the packet is a fragment of a packet that cannot exist.
func fragments(f vswitch.Frame, mtu int) (pieces [][]byte, ok bool) {
	data := f.Data
	if f.Offload.Flags&needsChecksum != 0 {
		l, _ := readLayers(data)
		data = completed(data, l, int(f.Offload.CsumStart), int(f.Offload.CsumOffset))
	}
	p, ok := readPacket(data)
	if !ok {
		return nil, false
	}
	field := word(p.header, 6)
	offset, more := int(field%0x2000)*8, field&0x2000 != 0
	if len(p.header)+len(p.segment) <= mtu {
		return [][]byte{piece(data, p.header, p.segment, offset, more)}, true
	}
	later, ok := laterHeader(p.header)
	if !ok || len(p.header)+8 > mtu || offset+len(p.segment) > 65535 || more && len(p.segment)%8 != 0 {
		return nil, false
	}
	header, rest := p.header, p.segment
	for len(header)+len(rest) > mtu {
		n := (mtu - len(header)) / 8 * 8
		pieces = append(pieces, piece(data, header, rest[:n], offset, true))
		header, rest, offset = later, rest[n:], offset+n
	}
	return append(pieces, piece(data, header, rest, offset, more)), true
}

// piece returns one fragment. DF and the reserved bit do not change.
func piece(data, header, payload []byte, offset int, more bool) []byte {
	ip := append([]byte{}, header...)
	field := word(ip, 6)&0xc000 | uint16(offset/8)
	if more {
		field |= 0x2000
	}
	binary.BigEndian.PutUint16(ip[2:], uint16(len(header)+len(payload)))
	binary.BigEndian.PutUint16(ip[6:], field)
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	return append(append(append([]byte{}, data[:ethernetHeader]...), ip...), payload...)
}

// laterHeader returns the header of all fragments but the first: only options with the copied flag, padded to 4 bytes.
func laterHeader(header []byte) ([]byte, bool) {
	later := append([]byte{}, header[:20]...)
	for options := header[20:]; len(options) > 0 && options[0] != 0; {
		n := 1
		if options[0] != 1 {
			if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
				return nil, false
			}
			n = int(options[1])
		}
		if options[0] >= 0x80 {
			later = append(later, options[:n]...)
		}
		options = options[n:]
	}
	for len(later)%4 != 0 {
		later = append(later, 0)
	}
	later[0] = 0x40 | byte(len(later)/4)
	return later, true
}
