package vnet

import "encoding/binary"

// maxFragment is the largest GSOSize of GSOUDP: no datagram needs a second fragment of it.
const maxFragment = 65528

// Datagram returns the header of a frame that consists of one UDP datagram over IPv4 or IPv6 whose checksum is incomplete and which is to be cut into IP
// fragments (GSOUDP). It is for a frame without a header from a kernel that has none for such frames. The size of the fragments is the
// largest one: lower it to what the path takes.
//
// Datagram reports false for any other frame. It recognises an incomplete checksum by its value, the sum of the pseudo-header.
func Datagram(frame []byte) (Header, bool) {
	var l layout
	if !l.locate(frame) || l.protocol != protocolUDP || l.fragment || l.transport+udpLen > l.end {
		return Header{}, false
	}
	datagram := frame[l.transport:l.end]
	length := uint32(len(datagram))
	if uint32(binary.BigEndian.Uint16(datagram[4:])) != length ||
		binary.BigEndian.Uint16(datagram[udpChecksum:]) != Sum(nil, addressSum(frame, &l)+length) {
		return Header{}, false
	}
	h := Header{Flags: FlagNeedsChecksum, GSOType: GSOUDP, GSOSize: maxFragment, CsumStart: uint16(l.transport), CsumOffset: udpChecksum}
	return h, check(&h, frame)
}

// Reopen makes the checksum of a frame to segment incomplete again: it writes the sum of the pseudo-header, and sets FlagNeedsChecksum and what belongs
// to it. A kernel that has merged received packets with their own checksums describes them so (fraglist GRO of Linux): FlagDataValid, a GSOType, and the
// checksum of the first one. Reopen changes no other frame. Check the header afterwards.
func Reopen(h *Header, frame []byte) {
	var l layout
	if h.GSOType == GSONone || h.Flags != FlagDataValid || !l.locate(frame) {
		return
	}
	offset := tcpChecksum
	if l.protocol == protocolUDP {
		offset = udpChecksum
	}
	if field := l.transport + offset; field+2 <= l.end && (l.protocol == protocolTCP || l.protocol == protocolUDP) {
		binary.BigEndian.PutUint16(frame[field:], Sum(nil, addressSum(frame, &l)+uint32(l.end-l.transport)))
		h.Flags, h.CsumStart, h.CsumOffset = FlagNeedsChecksum, uint16(l.transport), uint16(offset)
	}
}
