// Package vnet implements the virtio-net header and the work that it leaves to others: completing checksums, cutting segments
// and merging them.
//
// A sender on Linux may pass on an Ethernet frame of up to 64 KiB with the request to segment it later, and without its checksum.
// The header in front of the frame describes what is left to do. To deliver such a frame to a receiver that accepts no offloads:
//
//	h := vnet.Decode(b)
//	frame := b[vnet.Size:]
//	if !vnet.Check(&h, frame) {
//		return errors.New("the header does not fit the frame")
//	}
//	segment := make([]byte, vnet.WireLen(h, frame))
//	for segments := vnet.Cut(h, frame); !segments.Done(); {
//		n := segments.Next(segment)
//		send(segment[:n])
//	}
//
// Check every header from an untrusted sender first: the other functions index by it. Frames start at the destination MAC and
// have no frame check sequence; they may have up to two VLAN tags. Sizes and offsets are bytes. Integers in frames are
// big-endian, integers in an encoded header are in native byte order.
//
// The package performs no input or output and has no package-level state: different frames may be processed concurrently.
package vnet
