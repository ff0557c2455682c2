package vnet

import "encoding/binary"

// maxFragment is the largest GSOSize of GSOUDP: no datagram needs a second fragment of it.
const maxFragment = 65528

// Datagram returns the header of a frame that consists of one UDP datagram over IPv4 whose checksum is incomplete and which is to be cut into IP
// fragments (GSOUDP). It is for a frame without a header from a kernel that has none for such frames. The size of the fragments is the
// largest one: lower it to what the path takes.
//
// Datagram reports false for any other frame. It recognises an incomplete checksum by its value, the sum of the pseudo-header.
func Datagram(frame []byte) (Header, bool) {
	var l layout
	if !l.locate(frame) || l.ethertype != etherIPv4 || l.protocol != protocolUDP || l.fragment || l.transport+udpLen > l.end {
		return Header{}, false
	}
	datagram := frame[l.transport:l.end]
	length := uint32(len(datagram))
	if uint32(binary.BigEndian.Uint16(datagram[4:])) != length ||
		binary.BigEndian.Uint16(datagram[udpChecksum:]) != Sum(nil, addressSum(frame, &l)+length) {
		return Header{}, false
	}
	return Header{Flags: FlagNeedsChecksum, GSOType: GSOUDP, HdrLen: uint16(l.transport), GSOSize: maxFragment,
		CsumStart: uint16(l.transport), CsumOffset: udpChecksum}, true
}
