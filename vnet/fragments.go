package vnet

// Fragmentation of an IPv4 packet that is larger than its path, as RFC 791, section 3.2, has it. A router does this to
// packets without DF; those with DF get an ICMP error, which is the caller's affair.

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
	optionCopied  = 0x80 // goes into every fragment, not only into the first
)

// Fragments hands out the fragments of one Ethernet frame with an IPv4 packet, in order. It borrows the frame: neither
// may change until the last fragment is out. The zero value is done.
type Fragments struct {
	frame   []byte
	layout  layout
	mtu     int              // bytes of the largest IP packet
	first   int              // the packet's own fragment offset in bytes
	more    bool             // the packet's own "more fragments"
	payload int              // first byte of the next fragment's payload
	later   [maxIPv4Len]byte // the header of every fragment but the first
	laterN  int              // its length in bytes
	left    bool             // there is a next fragment
}

// Split starts to fragment a frame into IP packets of at most mtu bytes. A packet that fits is one piece, whether it has
// DF or not. A packet that already is a fragment keeps its offset and its "more fragments". Transport checksums must be
// complete and segments cut before; the frame, which may bear VLAN tags, is never modified.
//
// It returns false when the frame is not IPv4, when its headers or options lie, when it has DF and does not fit, and when
// mtu leaves no room for 8 bytes behind the header.
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

// Next writes the next fragment into dst, which must not overlap the frame, and returns its length in bytes. Padding of
// the Ethernet frame is left out. It returns 0 when there is no other, and also when dst is too small: the Ethernet header
// and mtu bytes are always enough. After the latter, which Done tells apart, the same fragment is still the next one.
func (f *Fragments) Next(dst []byte) int {
	if !f.left {
		return 0
	}
	l := &f.layout
	header := f.frame[l.network:l.transport]
	if f.payload > l.transport {
		header = f.later[:f.laterN]
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

// Done tells whether every fragment has been handed out.
func (f *Fragments) Done() bool { return !f.left }

// writeHeader makes the header of packet that of one fragment. DF stays: only a packet in one piece may have it.
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

// makeLater builds the header of the fragments behind the first: with those options alone that are marked as copied,
// padded to whole words. It fails when an option's length lies.
func (f *Fragments) makeLater() bool {
	header := f.frame[f.layout.network:f.layout.transport]
	f.laterN = copy(f.later[:], header[:ipv4Len])
	for options := header[ipv4Len:]; len(options) > 0 && options[0] != optionEnd; {
		length := 1
		if options[0] != optionNop {
			if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
				return false
			}
			length = int(options[1])
		}
		if options[0]&optionCopied != 0 {
			f.laterN += copy(f.later[f.laterN:], options[:length])
		}
		options = options[length:]
	}
	f.laterN = (f.laterN + 3) &^ 3 // the array's zeros are end-of-options
	f.later[0] = 4<<4 | byte(f.laterN/4)
	return true
}
