package vnet

import "encoding/binary"

// Size is the length in bytes of an encoded header without the num_buffers field. A tap with IFF_VNET_HDR and a packet socket with
// PACKET_VNET_HDR put such a header in front of each frame.
const Size = 10

// Flags of a header (virtio 1.2, section 5.1.6).
const (
	FlagNeedsChecksum uint8 = 1 // the field at CsumStart+CsumOffset contains only the sum of the pseudo-header
	FlagDataValid     uint8 = 2 // the checksum was verified
)

// Segmentation types of a header (virtio 1.2, section 5.1.6; linux/virtio_net.h).
const (
	GSONone  uint8 = 0    // the frame is not to be segmented
	GSOTCPv4 uint8 = 1    // TCP segments over IPv4
	GSOUDP   uint8 = 3    // one UDP datagram over IPv4 or IPv6, to be cut into IP fragments (UFO)
	GSOTCPv6 uint8 = 4    // TCP segments over IPv6
	GSOUDPL4 uint8 = 5    // UDP datagrams over IPv4 or IPv6
	GSOECN   uint8 = 0x80 // a flag of the TCP types: only the first segment has CWR

	// Flags of the TCP types and of GSOUDPL4: what is to be segmented is in a tunnel, within a packet of this version (tunnel.go).
	GSOTunnelIPv4 uint8 = 0x20
	GSOTunnelIPv6 uint8 = 0x40
)

// A Header is struct virtio_net_hdr, decoded. The zero value means that nothing is left to do. Offsets are from the first byte of the
// frame unless noted otherwise. Headers are comparable.
type Header struct {
	Flags      uint8  // FlagNeedsChecksum, FlagDataValid
	GSOType    uint8  // one of the GSO constants
	HdrLen     uint16 // length of the headers that each segment has; exact only after Check
	GSOSize    uint16 // payload bytes of each segment except the last; with GSOUDP, of each fragment, a multiple of 8
	CsumStart  uint16 // first byte that the checksum covers
	CsumOffset uint16 // offset of the checksum field, from CsumStart
}

// Decode returns the header that is encoded in the first Size bytes of b. It panics if b is shorter.
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

// Encode writes h to the first Size bytes of b. It panics if b is shorter.
func (h Header) Encode(b []byte) {
	_ = b[Size-1]
	b[0], b[1] = h.Flags, h.GSOType
	binary.NativeEndian.PutUint16(b[2:], h.HdrLen)
	binary.NativeEndian.PutUint16(b[4:], h.GSOSize)
	binary.NativeEndian.PutUint16(b[6:], h.CsumStart)
	binary.NativeEndian.PutUint16(b[8:], h.CsumOffset)
}
