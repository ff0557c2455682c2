package vnet_test

import (
	"bytes"
	"encoding/binary"

	"github.com/podswitch/podswitch/vnet"
)

// An offloadSeed is a named regression.
type offloadSeed struct {
	name  string // what it exercises
	h     vnet.Header
	frame []byte
	mtu   uint16
}

func offloadSeeds() []offloadSeed {
	change := func(change func(*vnet.Header)) vnet.Header { return with(tcp4.gso(1000), change) }
	small := packet{protocol: tcp, flags: ack | psh | fin | cwr, payload: 40}
	extended := packet{tags: twoTags, v6: true, protocol: tcp, extensions: hopByHop, payload: 99}
	routed := packet{protocol: udp, options: routerAlert, payload: 20, padding: 3}
	zero := packet{protocol: udp, payload: 20}
	signed, later, crc := tcp6Signed, laterPart, packet{protocol: sctp, payload: 60}
	signed.payload, later.payload = 50, 50
	seeds := []offloadSeed{
		{"an empty frame: userspace switches crashed on it", vnet.Header{}, nil, 600},
		{"a frame of one byte", vnet.Header{}, []byte{1}, 600},
		{"a tag, and the frame ends", vnet.Header{Flags: 1}, append(make([]byte, 12), 0x81, 0, 0), 600},
		{"a tag in a tag, and the frame ends", vnet.Header{Flags: 1}, append(make([]byte, 12), 0x88, 0xa8, 0, 1, 0x81, 0, 0), 600},
		{"an IPv6 extension, and the frame ends", extended.header(), extended.frame()[:14+8+40+3], 600},
		{"a checksum of 0 is written as 0xffff", zero.header(), zeroSum(zero), 600},
		{"gso_size 0: no end of segments", tcp4.gso(0), tcp4.frame(), 600},
		{"gso_size 1: as many segments as bytes", small.gso(1), small.frame(), 48},
		{"gso_size 1 of a large frame: as much work as for a thousand", tcp4.gso(1), tcp4.frame(), 600},
		{"a route that ends elsewhere", tcp6Routed.gso(99), tcp6Routed.frame(), 600},
		{"a route by segments", bySegments.gso(9), bySegments.frame(), 600},
		{"csum_start odd", change(func(h *vnet.Header) { h.CsumStart++ }), tcp4.frame(), 600},
		{"csum_start beyond the frame", change(func(h *vnet.Header) { h.CsumStart = 65535 }), tcp4.frame(), 600},
		{"csum_start in the MAC addresses", vnet.Header{Flags: 1, CsumOffset: 6}, tcp4.frame(), 600},
		{"csum_start and csum_offset beyond 16 bits", change(func(h *vnet.Header) { h.CsumStart, h.CsumOffset = 65535, 65535 }), tcp4.frame(), 600},
		{"csum_offset at the last byte of a datagram", with(zero.header(), func(h *vnet.Header) { h.CsumOffset = 27 }), zero.frame(), 600},
		{"csum_offset at the last byte", with(small.header(), func(h *vnet.Header) { h.CsumOffset = 59 }), small.frame(), 600},
		{"csum_offset at the ports", with(tcp4.header(), func(h *vnet.Header) { h.CsumOffset = 2 }), tcp4.frame(), 600},
		{"csum_offset not that of the protocol", change(func(h *vnet.Header) { h.CsumOffset = 6 }), tcp4.frame(), 600},
		{"hdr_len below csum_start: a wrong hint of the kernel", change(func(h *vnet.Header) { h.HdrLen = 20 }), tcp4.frame(), 600},
		{"gso_type unknown", change(func(h *vnet.Header) { h.GSOType = 2 }), tcp4.frame(), 600},
		{"gso_type of the other version", change(func(h *vnet.Header) { h.GSOType = vnet.GSOTCPv6 }), tcp4.frame(), 600},
		{"GSO without a checksum to complete", change(func(h *vnet.Header) { h.Flags = 0 }), tcp4.frame(), 600},
		{"flags unknown", vnet.Header{Flags: 0x80}, small.frame(), 600},
		{"nothing but a hint that data is valid", vnet.Header{Flags: vnet.FlagDataValid, HdrLen: 9}, small.frame(), 600},
		{"ECN: CWR on the first segment alone", with(small.gso(9), func(h *vnet.Header) { h.GSOType |= vnet.GSOECN }), small.frame(), 600},
		{"IPv6 extension and two tags", extended.gso(9), extended.frame(), 600},
		{"IPv6 authentication header", signed.gso(9), signed.frame(), 600},
		{"a later IPv6 fragment has no transport header", later.header(), later.frame(), 600},
		{"a later IPv6 fragment to segment", with(later.gso(9), func(h *vnet.Header) { h.CsumOffset = 16 }), later.frame(), 600},
		{"UDP segments", packet{v6: true, protocol: udp, payload: 99}.gso(10), packet{v6: true, protocol: udp, payload: 99}.frame(), 600},
		{"fragments of a datagram", with(routed.gso(9), func(h *vnet.Header) { h.GSOType = vnet.GSOUDP }), routed.frame(), 600},
		{"fragments of a datagram over IPv6", with(packet{v6: true, protocol: udp, payload: 99}.gso(16), func(h *vnet.Header) { h.GSOType = vnet.GSOUDP }), packet{v6: true, protocol: udp, payload: 99}.frame(), 600},
		{"IPv4 options and padding", routed.gso(1000), routed.frame(), 600},
		{"a checksum to complete under padding", routed.header(), routed.frame(), 600},
		{"SCTP's checksum is a CRC", with(crc.header(), func(h *vnet.Header) { h.CsumOffset = 8 }), crc.frame(), 600},
		{"SCTP shorter than its header", with(crc.header(), func(h *vnet.Header) { h.CsumOffset = 8 }), packet{protocol: sctp, payload: 10}.frame(), 600},
		{"SCTP that ends before Ethernet's padding", with(crc.header(), func(h *vnet.Header) { h.CsumOffset = 8 }), packet{protocol: sctp, payload: 11, padding: 9}.frame(), 600},
		{"not IP", vnet.Header{Flags: 1, CsumStart: 20, CsumOffset: 2}, append(make([]byte, 12), 0x88, 0xb5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), 600},
		{"ARP has no checksum", vnet.Header{Flags: 1, CsumStart: 20, CsumOffset: 2}, append(make([]byte, 12), 8, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), 600},
	}
	for i, u := range tunnels() {
		u.inner.payload = min(u.inner.payload, 300)
		if i == 4 {
			h, frame := u.frame(100)
			h.GSOType = vnet.GSOUDP | vnet.GSOTunnelIPv4
			seeds = append(seeds, offloadSeed{"fragments in a tunnel", h, frame, 600})
		}
		h, frame := u.frame(100)
		seeds = append(seeds, offloadSeed{u.name, h, frame, 600})
	}
	return append(seeds, append(badLengthSeeds(), fragmentSeeds()...)...)
}

// zeroSum returns a frame whose payload makes its transport checksum zero.
func zeroSum(p packet) []byte {
	frame := p.frame()
	done := bytes.Clone(frame)
	vnet.Complete(p.header(), done)
	h := p.header()
	checksum := binary.BigEndian.Uint16(done[h.CsumStart+h.CsumOffset:])
	word := frame[len(frame)-4:]
	sum := uint32(binary.BigEndian.Uint16(word)) + uint32(checksum)
	binary.BigEndian.PutUint16(word, uint16(sum+sum>>16))
	return frame
}

// badLengthSeeds returns packets with wrong lengths.
func badLengthSeeds() (seeds []offloadSeed) {
	add := func(name string, p packet, at int, with ...byte) {
		frame := p.frame()
		copy(frame[at:], with)
		for _, h := range []vnet.Header{p.header(), p.gso(9)} {
			seeds = append(seeds, offloadSeed{name, h, frame, 60})
		}
	}
	p4, p6 := packet{protocol: tcp, flags: ack, payload: 50}, packet{v6: true, protocol: tcp, flags: ack, payload: 50}
	add("IHL beyond the packet", packet{protocol: tcp}, 14, 0x4f)
	add("IHL below 5", p4, 14, 0x44)
	add("version 6 in an IPv4 frame", p4, 14, 0x65)
	add("version 4 in an IPv6 frame", p6, 14, 0x45)
	add("total length below the header", p4, 16, 0, 19)
	add("total length below the transport header", p4, 16, 0, 22)
	add("total length beyond the packet", p4, 16, 0xff, 0xff)
	add("payload length beyond the packet", p6, 18, 0xff, 0xff)
	add("payload length below the extension", packet{v6: true, protocol: tcp, extensions: hopByHop}, 18, 0, 0)
	add("an extension beyond the packet", packet{v6: true, protocol: tcp, extensions: hopByHop}, 55, 0xff)
	add("an extension begins at the end", packet{v6: true, protocol: tcp}, 20, 0)
	add("data offset past the end", p4, 46, 0xf0)
	add("data offset below 5", p4, 46, 0x10)
	add("a first fragment", p4, 20, 0x20)
	add("an unknown protocol", p4, 23, 253)
	return seeds
}

// fragmentSeeds returns packets for Split.
func fragmentSeeds() (seeds []offloadSeed) {
	recordRoute := []byte{7, 7, 4, 0, 0, 0, 0}
	options := append(append(append([]byte{1}, recordRoute...), routerAlert...), 0, 0, 0, 0)
	for _, s := range []struct {
		name string
		p    packet
		mtu  uint16
	}{
		{"a packet that fits", packet{protocol: udp, payload: 60}, 600},
		{"many fragments", packet{protocol: udp, payload: 999, padding: 5}, 68},
		{"no room for 8 bytes", packet{protocol: udp, payload: 99}, 27},
		{"must not be fragmented", packet{protocol: udp, payload: 99, fragment: df}, 68},
		{"a fragment in fragments", packet{protocol: udp, payload: 192, fragment: 185 | mf}, 68},
		{"a fragment whose length is no multiple of 8", packet{protocol: udp, payload: 193, fragment: 185 | mf}, 68},
		{"a fragment beyond 65535", packet{protocol: udp, payload: 192, fragment: 0x1fff}, 68},
		{"options, some of them copied", packet{protocol: udp, payload: 192, options: options}, 128},
		{"an option that ends early", packet{protocol: udp, payload: 192, options: []byte{7, 9, 0, 0}}, 128},
		{"an option of one byte", packet{protocol: udp, payload: 192, options: []byte{7, 1, 0, 0}}, 128},
		{"an option without a length", packet{protocol: udp, payload: 192, options: []byte{1, 1, 1, 7}}, 128},
	} {
		seeds = append(seeds, offloadSeed{s.name, vnet.Header{}, s.p.frame(), s.mtu})
	}
	return seeds
}
