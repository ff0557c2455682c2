package oracle

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// onesSum returns the ones' complement sum of 16-bit words (RFC 1071). An odd last byte is the upper half of a word.
func onesSum(b []byte) uint16 {
	sum := 0
	for ; len(b) >= 2; b = b[2:] {
		sum += int(word(b, 0))
	}
	if len(b) == 1 {
		sum += int(b[0]) * 256
	}
	for sum > 0xffff {
		sum = sum%0x10000 + sum/0x10000
	}
	return uint16(sum)
}

func checksum(b []byte) uint16 { return ^onesSum(b) }

// replaceWord returns the new checksum after a change of one word at an even offset (RFC 1624: HC' = ~(~HC + ~m + m')).
func replaceWord(sum, old, now uint16) uint16 {
	all := int(^sum) + int(^old) + int(now)
	for all > 0xffff {
		all = all%0x10000 + all/0x10000
	}
	return ^uint16(all)
}

// settled returns a frame with an exact header. It completes the CRC of SCTP, which the header cannot express.
func settled(f vswitch.Frame, exact bool) vswitch.Frame {
	if !exact || f.Offload.Flags&needsChecksum == 0 || f.Offload.CsumOffset != 8 {
		return f
	}
	if l, ok := readLayers(f.Data); ok && l.protocol == 132 {
		f.Data = completed(f.Data, l, int(f.Offload.CsumStart), int(f.Offload.CsumOffset))
		f.Offload = vnet.Header{Flags: f.Offload.Flags & dataValid}
	}
	return f
}

// completed returns a copy of an IPv4 frame, not to be segmented, with its checksum completed: over the bytes from its start to the end of
// the packet, or to the end of the frame if the field lies behind the packet.
func completed(frame []byte, l layers, start, offset int) []byte {
	done := append([]byte{}, frame...)
	field, end := start+offset, l.end
	if field+2 > end {
		end = len(done)
	}
	if l.protocol == 132 && start == l.transport && offset == 8 && end-start >= 12 { // SCTP: RFC 9260, appendix A
		clear(done[field : field+4])
		crc := crc32.Checksum(done[start:end], crc32.MakeTable(crc32.Castagnoli))
		binary.LittleEndian.PutUint32(done[field:], crc)
		return done
	}
	sum := checksum(done[start:end])
	if sum == 0 {
		sum = 0xffff // in UDP, 0 means "no checksum"
	}
	binary.BigEndian.PutUint16(done[field:], sum)
	return done
}
