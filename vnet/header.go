// Package vnet handles the virtio-net header: the work that the sender of a frame left undone. It checks a header against
// its frame, and in software completes a checksum, cuts segments and merges them. It is pure: no file descriptors, and no state
// but that of one frame being cut or merged.
package vnet

import "encoding/binary"

// Size is the length in bytes of an encoded header without the num_buffers field: what a tap with IFF_VNET_HDR and a
// packet socket with PACKET_VNET_HDR put before each frame.
const Size = 10

// Flags of a header (virtio 1.2, section 5.1.6).
const (
	FlagNeedsChecksum uint8 = 1 // the checksum at CsumStart+CsumOffset holds only the pseudo-header's sum
	FlagDataValid     uint8 = 2 // the receiver need not verify the checksum
)

// Segmentation types of a header (virtio 1.2, section 5.1.6; linux/virtio_net.h).
const (
	GSONone  uint8 = 0
	GSOTCPv4 uint8 = 1
	GSOTCPv6 uint8 = 4
	GSOUDPL4 uint8 = 5
	GSOECN   uint8 = 0x80 // added to a TCP type: the first segment carries CWR
)

// A Header is struct virtio_net_hdr. The zero value means that nothing is left to do.
// All offsets and lengths are in bytes and count from the first byte of the Ethernet header.
type Header struct {
	Flags      uint8
	GSOType    uint8
	HdrLen     uint16 // length of all headers of a frame to segment; a hint until Check has recomputed it
	GSOSize    uint16 // payload bytes in each segment
	CsumStart  uint16 // where the checksum starts to cover
	CsumOffset uint16 // where the checksum stands, from CsumStart
}

// Decode reads a header in native byte order from the first Size bytes of b.
func Decode(b []byte) Header {
	_ = b[Size-1]
	return Header{
		Flags:      b[0],
		GSOType:    b[1],
		HdrLen:     binary.NativeEndian.Uint16(b[2:]),
		GSOSize:    binary.NativeEndian.Uint16(b[4:]),
		CsumStart:  binary.NativeEndian.Uint16(b[6:]),
		CsumOffset: binary.NativeEndian.Uint16(b[8:]),
	}
}

// Encode writes h into the first Size bytes of b.
func (h Header) Encode(b []byte) {
	_ = b[Size-1]
	b[0], b[1] = h.Flags, h.GSOType
	binary.NativeEndian.PutUint16(b[2:], h.HdrLen)
	binary.NativeEndian.PutUint16(b[4:], h.GSOSize)
	binary.NativeEndian.PutUint16(b[6:], h.CsumStart)
	binary.NativeEndian.PutUint16(b[8:], h.CsumOffset)
}
