package oracle

import (
	"encoding/binary"

	"github.com/podswitch/podswitch/vswitch"
)

// clamped returns a copy of a frame. If the frame is a TCP SYN, the copy announces an MSS that fits into mtu at most, and its checksum is
// updated.
func clamped(f vswitch.Frame, p packet, mtu int) vswitch.Frame {
	f.Data = append([]byte{}, f.Data...)
	if p.protocol != tcp || !p.first || p.segment[13]&0x02 == 0 {
		return f
	}
	limit := min(mtu-40, 0xffff)
	if p.six {
		limit = min(mtu-60, 0xffff)
	}
	at := mssOption(p.segment[:int(p.segment[12]/16)*4])
	if at == 0 || int(word(p.segment, at)) <= limit {
		return f
	}
	segment := f.Data[ethernetHeader+len(p.header):][:len(p.segment)]
	sum := word(segment, 16)
	for _, even := range changedWords(at) {
		before := word(segment, even)
		var after uint16
		if at == even {
			after = uint16(limit)
		} else if at+1 == even { // the second byte of the value is the first of this word
			after = uint16(limit)<<8 | before&0xff
		} else {
			after = before&0xff00 | uint16(limit)>>8
		}
		sum = replaceWord(sum, before, after)
	}
	binary.BigEndian.PutUint16(segment[at:], uint16(limit))
	if f.Offload.Flags&needsChecksum == 0 { // otherwise it is computed later
		binary.BigEndian.PutUint16(segment[16:], sum)
	}
	return f
}

// changedWords returns the even offsets of the words that contain a two-byte value at an offset.
func changedWords(at int) []int {
	if at%2 == 0 {
		return []int{at}
	}
	return []int{at - 1, at + 1}
}

// mssOption returns the offset of the MSS option's value in a TCP header (RFC 9293, section 3.2), or 0 if there is none.
func mssOption(header []byte) int {
	for i := 20; i < len(header) && header[i] != 0; {
		if header[i] == 1 {
			i++
			continue
		}
		if i+1 == len(header) || header[i+1] < 2 || i+int(header[i+1]) > len(header) {
			return 0
		}
		if header[i] == 2 && header[i+1] == 4 {
			return i + 2
		}
		i += int(header[i+1])
	}
	return 0
}
