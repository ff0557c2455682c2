package vswitch

import (
	"encoding/binary"
	"math/bits"

	"github.com/podswitch/podswitch/vnet"
)

// TCP flags and options (RFC 9293, section 3.1).
const (
	tcpSYN       = 0x02
	tcpACK       = 0x10
	optionEnd    = 0
	optionNoop   = 1
	optionMSS    = 2
	mssOptionLen = 4
)

// mssOf returns the largest maximum segment size that fits into mtu.
func mssOf(mtu int, isIPv6 bool) int {
	if isIPv6 {
		return min(mtu-ipv6Len-tcpLen, 0xffff)
	}
	return min(mtu-ipv4Len-tcpLen, 0xffff)
}

// clampMSS lowers the maximum segment size that a TCP SYN announces to mss, for guests that ignore the MTU that they were assigned. It updates the checksum and changes nothing else.
func clampMSS(f *Frame, p *packet, mss int) {
	if p.protocol != protocolTCP || !p.firstFragment {
		return
	}
	tcp := f.Data[p.transport:p.end]
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
	if f.Offload.Flags&vnet.FlagNeedsChecksum != 0 {
		return // the checksum is computed later, over the new value
	}
	to := limit
	if at%2 != 0 { // a value at an odd offset counts with its bytes swapped (RFC 1071, section 2)
		from, to = bits.ReverseBytes16(from), bits.ReverseBytes16(to)
	}
	sum := vnet.UpdateChecksum(binary.BigEndian.Uint16(tcp[16:]), from, to)
	binary.BigEndian.PutUint16(tcp[16:], sum)
}

// findMSS returns the offset of the value of the MSS option in a TCP header.
func findMSS(header []byte) (at int, ok bool) {
	for i := tcpLen; i < len(header); {
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
