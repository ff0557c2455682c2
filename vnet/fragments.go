package vnet

// Fragmentation of IPv4 packets that exceed the MTU of their path (RFC 791, section 3.2).

import "encoding/binary"

// Parts of the 16-bit field at byte 6 of an IPv4 header.
const (
	dontFragment   = 0x4000
	moreFragments  = 0x2000
	fragmentOffset = 0x1fff // in units of 8 bytes
)

// IPv4 options (RFC 791, section 3.1).
const (
	maxIPv4Len    = 60
	maxIPv4Packet = 65535
	optionEnd     = 0
	optionNop     = 1
	optionCopied  = 0x80 // flag: the option is in every fragment, not only in the first
)

// Fragments are the fragments of one Ethernet frame with an IPv4 packet, in order. The frame must not change until Done reports
// true. The zero value has no fragments. A Fragments must not be used concurrently.
type Fragments struct {
	frame    []byte
	layout   layout
	mtu      int              // bytes of the largest IP packet
	first    int              // fragment offset of the frame's packet in bytes
	more     bool             // "more fragments" of the frame's packet
	payload  int              // first byte of the next fragment's payload
	later    [maxIPv4Len]byte // IPv4 header of every fragment except the first
	laterLen int              // its length in bytes
	left     bool             // there is a next fragment
}

// Split returns the fragments of a frame, as IP packets of at most mtu bytes. A packet that is not larger, with or without DF, yields one
// fragment. A packet that is a fragment itself keeps its offset and its "more fragments". Complete checksums and cut segments before
// Split. Split does not change the frame.
//
// Split reports false if the frame is not IPv4 or has malformed headers or options, if the packet has DF and is larger than mtu, or if
// mtu leaves less than 8 bytes for the payload of a fragment.
func Split(frame []byte, mtu int) (Fragments, bool) {
	var l layout
	if !l.locate(frame) || l.ethertype != etherIPv4 || l.end == 0 {
		return Fragments{}, false
	}
	field := binary.BigEndian.Uint16(frame[l.network+6:])
	f := Fragments{
		frame: frame, layout: l, mtu: mtu, payload: l.transport, left: true,
		first: int(field&fragmentOffset) * 8,
		more:  field&moreFragments != 0,
	}
	if l.end-l.network <= mtu {
		return f, true
	}
	if field&dontFragment != 0 || mtu < l.transport-l.network+8 {
		return Fragments{}, false
	}
	size := l.end - l.transport
	if f.first+size > maxIPv4Packet || f.more && size%8 != 0 {
		return Fragments{}, false
	}
	if !f.makeLater() {
		return Fragments{}, false
	}
	return f, true
}

// Next writes the next fragment to dst, with the frame's Ethernet header and VLAN tags and without padding, and returns its length in
// bytes. The memory of dst must not overlap the frame. If dst is too small, Next returns 0 and the same fragment remains the next one;
// mtu bytes and the length of the Ethernet header are always enough. If there is no fragment left, Next returns 0 and Done reports
// true.
func (f *Fragments) Next(dst []byte) int {
	if !f.left {
		return 0
	}
	l := &f.layout
	header := f.frame[l.network:l.transport]
	if f.payload > l.transport {
		header = f.later[:f.laterLen]
	}
	size, more := l.end-f.payload, f.more
	if room := f.mtu - len(header); size > room {
		size, more = room&^7, true
	}
	n := l.network + len(header) + size
	if len(dst) < n {
		return 0
	}
	copy(dst, f.frame[:l.network])
	ip := dst[l.network:n]
	copy(ip, header)
	copy(ip[len(header):], f.frame[f.payload:f.payload+size])
	f.writeHeader(ip, len(header), more)
	f.payload += size
	f.left = f.payload < l.end
	return n
}

// Done reports whether Next has returned every fragment.
func (f *Fragments) Done() bool { return !f.left }

// writeHeader changes the header of packet to that of one fragment. DF stays: Split accepts it only for a packet that is not cut.
func (f *Fragments) writeHeader(packet []byte, headerLen int, more bool) {
	field := binary.BigEndian.Uint16(packet[6:]) &^ (moreFragments | fragmentOffset)
	field |= uint16((f.first + f.payload - f.layout.transport) / 8)
	if more {
		field |= moreFragments
	}
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
	binary.BigEndian.PutUint16(packet[6:], field)
	writeIPv4Checksum(packet[:headerLen])
}

// makeLater builds the header of all fragments except the first: only options with optionCopied, padded to a multiple of 4 bytes. It
// reports false if an option has an invalid length.
func (f *Fragments) makeLater() bool {
	header := f.frame[f.layout.network:f.layout.transport]
	f.laterLen = copy(f.later[:], header[:ipv4Len])
	for options := header[ipv4Len:]; len(options) > 0 && options[0] != optionEnd; {
		length := 1
		if options[0] != optionNop {
			if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
				return false
			}
			length = int(options[1])
		}
		if options[0]&optionCopied != 0 {
			f.laterLen += copy(f.later[f.laterLen:], options[:length])
		}
		options = options[length:]
	}
	f.laterLen = (f.laterLen + 3) &^ 3 // the zeros of the array are end-of-options
	f.later[0] = 4<<4 | byte(f.laterLen/4)
	return true
}
