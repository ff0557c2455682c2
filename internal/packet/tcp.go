package packet

import (
	"encoding/binary"
	"math/bits"

	"github.com/podswitch/podswitch/vnet"
)

// TCP flags and options (RFC 9293, section 3.1).
const (
	tcpFIN       = 0x01
	tcpSYN       = 0x02
	tcpRST       = 0x04
	tcpACK       = 0x10
	optionEnd    = 0
	optionNoop   = 1
	optionMSS    = 2
	mssOptionLen = 4
)

// MSSOf returns the largest maximum segment size that fits into mtu.
func MSSOf(mtu int, isIPv6 bool) int {
	if isIPv6 {
		return min(mtu-IPv6Len-TCPLen, 0xffff)
	}
	return min(mtu-IPv4Len-TCPLen, 0xffff)
}

// ClampMSS lowers the maximum segment size that a TCP SYN announces to mss, for guests that ignore the MTU that they were assigned. It
// updates the checksum and changes nothing else. h is the offload header of the frame.
func (p *Packet) ClampMSS(h *vnet.Header, frame []byte, mss int) {
	if p.Protocol != ProtocolTCP || !p.FirstFragment {
		return
	}
	tcp := frame[p.Transport:p.End]
	if tcp[13]&tcpSYN == 0 {
		return
	}
	limit := uint16(mss)
	at, ok := findMSS(tcp[:int(tcp[12]>>4)*4])
	if !ok || binary.BigEndian.Uint16(tcp[at:]) <= limit {
		return
	}
	from := binary.BigEndian.Uint16(tcp[at:])
	binary.BigEndian.PutUint16(tcp[at:], limit)
	if h.Flags&vnet.FlagNeedsChecksum != 0 {
		return // the checksum is computed later, over the new value
	}
	to := limit
	if at%2 != 0 { // a value at an odd offset counts with its bytes swapped (RFC 1071, section 2)
		from, to = bits.ReverseBytes16(from), bits.ReverseBytes16(to)
	}
	sum := vnet.UpdateChecksum(binary.BigEndian.Uint16(tcp[16:]), from, to)
	binary.BigEndian.PutUint16(tcp[16:], sum)
}

// OpensConnection reports whether a TCP packet, or its first fragment, is the first one of a connection.
func (p *Packet) OpensConnection(frame []byte) bool {
	return frame[p.Transport+13]&(tcpSYN|tcpACK) == tcpSYN
}

// OverwritesFlags reports whether the packet is a fragment that contains offset 13 of the TCP header, the flags. Offsets of fragments
// are multiples of 8.
func (p *Packet) OverwritesFlags() bool { return p.Protocol == ProtocolTCP && p.Offset == 8 }

// findMSS returns the offset of the value of the MSS option in a TCP header.
func findMSS(header []byte) (at int, ok bool) {
	for i := TCPLen; i < len(header); {
		switch header[i] {
		case optionEnd:
			return 0, false
		case optionNoop:
			i++
			continue
		}
		if i+1 >= len(header) || header[i+1] < 2 || i+int(header[i+1]) > len(header) {
			return 0, false
		}
		if header[i] == optionMSS && header[i+1] == mssOptionLen {
			return i + 2, true
		}
		i += int(header[i+1])
	}
	return 0, false
}
