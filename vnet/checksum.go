package vnet

// The Internet checksum (RFC 1071) is the complement of a ones' complement sum of 16-bit words. The sum may be computed in words of any
// width and in either byte order, and then be folded and swapped once (RFC 1071, section 2). Sum therefore adds 64-bit words in
// native byte order. To fold is to add the carries until 16 bits remain.

import (
	"encoding/binary"
	"math/bits"
)

// Sum returns the folded ones' complement sum of b and initial, without complementing it. The words of b are big-endian; an odd last
// byte is the upper half of a word. The initial value is a sum of such words, folded or not.
func Sum(b []byte, initial uint32) uint16 {
	sum := uint64(swapNative(fold(uint64(initial))))
	var carry uint64
	for len(b) >= 64 {
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[24:]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[32:]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[40:]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[48:]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[56:]), carry)
		b = b[64:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b), carry)
		b = b[8:]
	}
	var rest uint64 // at most 7 bytes: no overflow
	if len(b) >= 4 {
		rest, b = uint64(binary.NativeEndian.Uint32(b)), b[4:]
	}
	if len(b) >= 2 {
		rest, b = rest+uint64(binary.NativeEndian.Uint16(b)), b[2:]
	}
	if len(b) == 1 {
		rest += uint64(swapNative(uint16(b[0]) << 8))
	}
	sum, carry = bits.Add64(sum, rest, carry)
	return swapNative(fold(sum + carry)) // no overflow: a sum with a carry is small
}

// Checksum returns the Internet checksum of b and initial, the complement of Sum. To compute the value of a checksum field, set the
// field to 0 first. UDP sends 0xffff instead of 0 (RFC 768).
func Checksum(b []byte, initial uint32) uint16 { return ^Sum(b, initial) }

// PseudoSum returns the sum of the pseudo-header of a TCP or UDP packet (RFC 9293, section 3.1; RFC 8200, section 8.1), an initial
// value for Sum and Checksum. The addresses have 4 bytes each, or 16 bytes each, in network byte order. The length is that of the
// transport header and its payload in bytes.
func PseudoSum(source, destination []byte, protocol uint8, length int) uint32 {
	return uint32(Sum(source, 0)) + uint32(Sum(destination, 0)) + uint32(protocol) + uint32(length>>16) + uint32(length&0xffff)
}

// UpdateChecksum returns the new checksum of a packet in which one 16-bit word has changed (RFC 1624, equation 3). The word must have an
// even offset from the first byte that the checksum covers. A UDP checksum of 0 means that there is none: do not update it.
func UpdateChecksum(sum, from, to uint16) uint16 {
	return ^fold(uint64(^sum) + uint64(^from) + uint64(to))
}

// fold adds the carries of a ones' complement sum until 16 bits remain.
func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum&0xffff)
}

// swapNative converts a word from big-endian to native byte order, or back.
func swapNative(word uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], word)
	return binary.BigEndian.Uint16(b[:])
}
