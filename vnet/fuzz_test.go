package vnet_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// FuzzOffload checks any header with any frame. Functions that use an accepted header do not panic. An independent implementation reassembles
// the segments to the same payload, and every checksum verifies. Complete changes the checksum only, to the sum that a receiver
// computes. Fragments reassemble to the packet.
func FuzzOffload(f *testing.F) {
	for _, s := range offloadSeeds() {
		b := make([]byte, vnet.Size)
		s.h.Encode(b)
		f.Add(b, s.frame, s.mtu)
	}
	f.Fuzz(func(t *testing.T, header, frame []byte, mtu uint16) {
		if len(header) < vnet.Size || len(frame) > 4096 {
			return
		}
		fuzzSplit(t, frame, int(mtu))
		h := vnet.Decode(header)
		if !vnet.Check(&h, frame) {
			return
		}
		again := h
		if !vnet.Check(&again, frame) || again != h {
			t.Fatalf("checked twice, %+v becomes %+v", h, again)
		}
		switch {
		case h.GSOType == vnet.GSOUDP:
			checkFragments(t, h, frame)
		case h.GSOType&tunnelBits != 0:
			checkTunnel(t, h, frame)
		default:
			fuzzCut(t, h, frame)
		}
		fuzzComplete(t, h, frame)
	})
}

// An anatomy has the parts of an IP packet from a receiver's point of view.
type anatomy struct{ network, transport, end int }

// dissect parses a frame whose header was accepted; CsumStart is the offset of the transport header.
func dissect(t *testing.T, h vnet.Header, frame []byte) (a anatomy, v6 bool) {
	t.Helper()
	a.network, a.transport = 14, int(h.CsumStart)
	for n := 0; n < 2 && (frame[a.network-2] == 0x81 && frame[a.network-1] == 0 || frame[a.network-2] == 0x88 && frame[a.network-1] == 0xa8); n++ {
		a.network += 4
	}
	ip := frame[a.network:]
	switch kind := binary.BigEndian.Uint16(frame[a.network-2:]); kind {
	case 0x0800:
		a.end = a.network + int(binary.BigEndian.Uint16(ip[2:]))
	case 0x86dd:
		a.end, v6 = a.network+40+int(binary.BigEndian.Uint16(ip[4:])), true
	default:
		t.Fatalf("a frame of type %#04x is to be segmented", kind)
	}
	if a.end > len(frame) || int(h.HdrLen) > a.end || a.transport >= int(h.HdrLen) {
		t.Fatalf("%+v was accepted for %d bytes, of which the packet has %+v", h, len(frame), a)
	}
	return a, v6
}

func fuzzCut(t *testing.T, h vnet.Header, frame []byte) {
	before := bytes.Clone(frame)
	dst := make([]byte, vnet.WireLen(h, frame))
	segments := vnet.Cut(h, frame)
	short := len(frame) - 1
	if h.GSOType != vnet.GSONone {
		a, _ := dissect(t, h, frame)
		short = min(int(h.HdrLen), a.end-1) // room for the headers only, or less if the payload is empty
	}
	if short >= 0 {
		if n := segments.Next(dst[:short]); n != 0 || segments.Done() {
			t.Fatalf("%d bytes were written to a buffer of %d", n, short)
		}
	}
	if h.GSOType == vnet.GSONone {
		if n := segments.Next(dst); n != len(frame) || !segments.Done() {
			t.Fatalf("one frame of %d bytes became %d, and more: %t", len(frame), n, !segments.Done())
		}
		return
	}
	a, v6 := dissect(t, h, frame)
	if kind := h.GSOType &^ vnet.GSOECN; kind == vnet.GSOTCPv4 && v6 || kind == vnet.GSOTCPv6 && !v6 {
		t.Fatalf("%+v was accepted for a packet of the other version", h)
	}
	payload := frame[h.HdrLen:a.end]
	for i := 0; !segments.Done(); i++ {
		n := segments.Next(dst)
		if n == 0 {
			t.Fatalf("WireLen of %d bytes is not enough", len(dst))
		}
		fuzzSegment(t, h, frame, dst[:n], a, v6, i)
		piece := dst[h.HdrLen:n]
		if !bytes.HasPrefix(payload, piece) || len(piece) > int(h.GSOSize) || len(piece) < int(h.GSOSize) && len(piece) != len(payload) {
			t.Fatalf("segment %d has %d bytes and another payload", i, len(piece))
		}
		payload = payload[len(piece):]
	}
	if n := segments.Next(dst); n != 0 {
		t.Fatalf("Next writes %d bytes after the end", n)
	}
	if len(payload) > 0 || !bytes.Equal(frame, before) {
		t.Fatalf("%d bytes are missing, or the frame changed", len(payload))
	}
}

// fuzzSegment checks segment i of a frame: its headers are those of the frame with the necessary changes, and its checksums verify.
func fuzzSegment(t *testing.T, h vnet.Header, frame, segment []byte, a anatomy, v6 bool, i int) {
	t.Helper()
	want := bytes.Clone(frame[:h.HdrLen])
	ip, got, last := want[a.network:], segment[a.network:], len(segment)-int(h.HdrLen)+i*int(h.GSOSize) == a.end-int(h.HdrLen)
	if v6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(got)-40))
	} else {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(got)))
		binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(i))
		copy(ip[10:12], got[10:12])
		if slowSum(got[:a.transport-a.network]) != 0xffff {
			t.Fatalf("segment %d has a wrong IPv4 checksum", i)
		}
	}
	transport := want[a.transport:]
	if h.GSOType == vnet.GSOUDPL4 {
		binary.BigEndian.PutUint16(transport[4:], uint16(len(segment)-a.transport))
	} else {
		binary.BigEndian.PutUint32(transport[4:], binary.BigEndian.Uint32(transport[4:])+uint32(i)*uint32(h.GSOSize))
		if !last {
			transport[13] &^= fin | psh
		}
		if i > 0 && h.GSOType&vnet.GSOECN != 0 {
			transport[13] &^= cwr
		}
	}
	copy(transport[h.CsumOffset:], segment[a.transport+int(h.CsumOffset):][:2])
	if !bytes.Equal(want, segment[:h.HdrLen]) {
		t.Fatalf("segment %d has the headers\n%x, want\n%x", i, segment[:h.HdrLen], want)
	}
	protocol := byte(tcp)
	pseudo := bytes.Clone(got[12:20])
	if v6 {
		pseudo = append(bytes.Clone(got[8:24]), finalAddress(got, a.transport-a.network)...)
	}
	if h.GSOType == vnet.GSOUDPL4 {
		protocol = udp
	}
	length := len(segment) - a.transport
	pseudo = append(pseudo, 0, protocol, byte(length>>8), byte(length))
	if sum := slowSum(append(pseudo, segment[a.transport:]...)); sum != 0xffff || transport[h.CsumOffset] == 0 && transport[h.CsumOffset+1] == 0 {
		t.Fatalf("segment %d sums to %#04x", i, sum)
	}
}

// finalAddress returns the final destination of an IPv6 packet, from a routing header with segments left if there is one.
func finalAddress(ip []byte, transport int) []byte {
	final := ip[24:40]
	for next, at := ip[6], 40; at < transport; {
		length := 8 * (int(ip[at+1]) + 1)
		switch {
		case next == 51:
			length = 4 * (int(ip[at+1]) + 2)
		case next == 44:
			length = 8
		case next != 43 || ip[at+3] == 0 || length < 24:
		case ip[at+2] == 4:
			final = ip[at+8 : at+24]
		case ip[at+2] == 0 || ip[at+2] == 2:
			n := (length - 8) / 16
			final = ip[at+8+16*(n-1) : at+8+16*n]
		}
		next, at = ip[at], at+length
	}
	return final
}

// fuzzComplete completes the checksum and verifies it as a receiver does. The pseudo-header's sum is the value that the field had before.
func fuzzComplete(t *testing.T, h vnet.Header, frame []byte) {
	t.Helper()
	done := bytes.Clone(frame)
	left := vnet.Complete(h, done)
	if left.Flags != h.Flags&^vnet.FlagNeedsChecksum || left.GSOType != vnet.GSONone {
		t.Fatalf("Complete returns %+v for %+v", left, h)
	}
	if h.Flags&vnet.FlagNeedsChecksum == 0 {
		if !bytes.Equal(done, frame) {
			t.Fatal("Complete changed the frame without FlagNeedsChecksum")
		}
		return
	}
	field := int(h.CsumStart) + int(h.CsumOffset)
	if h.GSOType == vnet.GSONone && slowComplete(frame, h, done) {
		return
	}
	same := append(bytes.Clone(frame[:field]), done[field:field+2]...)
	if !bytes.Equal(done, append(same, frame[field+2:]...)) {
		t.Fatal("Complete changed more than the checksum")
	}
	if done[field] == 0 && done[field+1] == 0 {
		t.Fatal("the checksum is 0, which means that there is none")
	}
	if h.GSOType == vnet.GSONone {
		t.Fatalf("the checksum is %x", done[field:field+2])
	}
}

// slowComplete reports whether done has a checksum that the header asks for: over all bytes to the end of the frame, or to an end before the
// Ethernet padding; or the CRC of SCTP.
func slowComplete(frame []byte, h vnet.Header, done []byte) bool {
	start, field := int(h.CsumStart), int(h.CsumStart)+int(h.CsumOffset)
	ends := []int{len(frame)}
	for network := 14; network <= 22; network += 4 {
		switch kind := binary.BigEndian.Uint16(frame[network-2:]); {
		case kind == 0x0800:
			ends = []int{network + int(binary.BigEndian.Uint16(frame[network+2:])), len(frame)}
		case kind == 0x86dd:
			ends = []int{network + 40 + int(binary.BigEndian.Uint16(frame[network+4:])), len(frame)}
		}
		if kind := binary.BigEndian.Uint16(frame[network-2:]); kind != 0x8100 && kind != 0x88a8 {
			break
		}
	}
	for _, end := range ends {
		if end < field+2 || end > len(frame) {
			continue
		}
		want := bytes.Clone(frame)
		sum := ^slowSum(frame[start:end])
		if sum == 0 {
			sum = 0xffff
		}
		binary.BigEndian.PutUint16(want[field:], sum)
		if bytes.Equal(want, done) {
			return true
		}
		if h.CsumOffset == 8 && end-start >= 12 {
			copy(want, frame)
			copy(want[field:], []byte{0, 0, 0, 0})
			binary.LittleEndian.PutUint32(want[field:], slowCRC(want[start:end]))
			return bytes.Equal(want, done)
		}
		return false
	}
	return false
}

// slowCRC returns the CRC-32C, computed bit by bit (RFC 9260, appendix A).
func slowCRC(b []byte) uint32 {
	crc := ^uint32(0)
	for _, c := range b {
		crc ^= uint32(c)
		for range 8 {
			crc = crc>>1 ^ 0x82f63b78*(crc&1)
		}
	}
	return ^crc
}

func fuzzSplit(t *testing.T, frame []byte, mtu int) {
	fragments, ok := vnet.Split(frame, mtu)
	if !ok {
		return
	}
	network := 14
	for frame[network-2] != 8 || frame[network-1] != 0 {
		network += 4
	}
	ip := frame[network:]
	headerLen, total, field := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:])), binary.BigEndian.Uint16(ip[6:])
	var pieces [][]byte
	dst := make([]byte, network+max(mtu, total))
	if n := fragments.Next(dst[:network]); n != 0 || fragments.Done() {
		t.Fatalf("%d bytes were written to a buffer of %d", n, network)
	}
	for !fragments.Done() {
		n := fragments.Next(dst)
		if n == 0 {
			t.Fatalf("%d bytes are not enough for an MTU of %d", len(dst), mtu)
		}
		pieces = append(pieces, bytes.Clone(dst[:n]))
		if !bytes.Equal(dst[:network], frame[:network]) || !bytes.Equal(dst[network+4:network+6], ip[4:6]) || !bytes.Equal(dst[network+12:network+20], ip[12:20]) {
			t.Fatal("a fragment is of another packet")
		}
	}
	if n := fragments.Next(dst); n != 0 {
		t.Fatalf("Next writes %d bytes after the end", n)
	}
	payload, more := join(t, network, mtu, int(field&0x1fff)*8, pieces)
	if !bytes.Equal(payload, ip[headerLen:total]) || more != (field&mf != 0) {
		t.Fatalf("%d bytes were reassembled from %d, more %t", len(payload), total-headerLen, more)
	}
	if len(pieces) > 1 && field&df != 0 {
		t.Fatal("a packet with DF was fragmented")
	}
}
