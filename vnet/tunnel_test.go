package vnet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

const tunnelBits = vnet.GSOTunnelIPv4 | vnet.GSOTunnelIPv6

var (
	vxlan  = []byte{8, 0, 0, 0, 0, 0, 7, 0}
	geneve = append([]byte{2, 0, 0x65, 0x58, 0, 0, 7, 0}, make([]byte, 8)...)
	gre    = []byte{0, 0, 0x65, 0x58}
)

// A tunnel is a frame to segment within another packet.
type tunnel struct {
	name         string
	outer, inner packet
	between      []byte // between the outer transport header and the inner packet, without inner Ethernet
	ethernet     bool   // the inner packet has an Ethernet header
	noSum        bool   // the outer UDP has no checksum
}

func tunnels() []tunnel {
	v4, v6 := packet{protocol: udp}, packet{v6: true, protocol: udp}
	return []tunnel{
		{name: "VXLAN", outer: v4, between: vxlan, ethernet: true, inner: tcp4, noSum: true},
		{name: "VXLAN with a checksum", outer: v4, between: vxlan, ethernet: true, inner: tcp4},
		{name: "VXLAN over IPv6", outer: v6, between: vxlan, ethernet: true, inner: tcp4Options},
		{name: "Geneve with options and a tag", outer: packet{tags: oneTag, protocol: udp, options: routerAlert}, between: geneve, ethernet: true, inner: tcp6},
		{name: "datagrams in VXLAN", outer: v4, between: vxlan, ethernet: true, inner: udp6, noSum: true},
		{name: "FOU", outer: v4, inner: tcp4, noSum: true},
		{name: "GRE", outer: packet{protocol: 47}, between: gre, ethernet: true, inner: tcp4},
		{name: "IP in IP", outer: packet{protocol: 4}, inner: udp4},
		{name: "IPv6 in IPv4", outer: packet{protocol: 41}, inner: tcp6},
		{name: "padding", outer: packet{protocol: udp, padding: 9}, between: vxlan, ethernet: true, inner: packet{protocol: tcp, payload: 30}},
	}
}

// frame builds the frame, and the header that a packet socket has for it: that of the inner frame, moved.
func (u tunnel) frame(size uint16) (vnet.Header, []byte) {
	inner := u.inner.frame()
	if !u.ethernet {
		inner = inner[14:]
	}
	payload := append(bytes.Clone(u.between), inner...)
	u.outer.payload = len(payload)
	frame := u.outer.frame()
	at := len(frame) - u.outer.padding - len(payload)
	copy(frame[at:], payload)
	if u.noSum {
		clear(frame[u.outer.transport()+6:][:2])
	}
	h := u.inner.gso(size)
	h.CsumStart += uint16(at + len(u.between))
	if !u.ethernet {
		h.CsumStart -= 14
	}
	return h, frame
}

// TestCutInTunnel: every segment has both headers with its own lengths, identifications and checksums.
func TestCutInTunnel(t *testing.T) {
	for _, u := range tunnels() {
		for _, size := range []uint16{1000, 999, 25} {
			t.Run(fmt.Sprintf("%s/%d", u.name, size), func(t *testing.T) {
				h, frame := u.frame(size)
				raw := h
				if !vnet.Check(&h, frame) {
					t.Fatalf("%+v is rejected", h)
				}
				want := vnet.GSOTunnelIPv4
				if u.outer.v6 {
					want = vnet.GSOTunnelIPv6
				}
				if h.GSOType != raw.GSOType|want {
					t.Fatalf("the type becomes %#x", h.GSOType)
				}
				if again := h; !vnet.Check(&again, frame) || again != h {
					t.Fatalf("checked twice, %+v becomes %+v", h, again)
				}
				checkTunnel(t, h, frame)
			})
		}
	}
}

// checkTunnel cuts a frame in a tunnel, and checks the outer headers of each segment. What is inside is checked as a frame of its own.
func checkTunnel(t *testing.T, h vnet.Header, frame []byte) {
	t.Helper()
	network := 14 + len(tags(frame))
	v6 := frame[network]>>4 == 6
	innerAt := innerNetwork(t, h, frame)
	isolated := func(b []byte) []byte {
		kind := []byte{8, 0}
		if b[innerAt]>>4 == 6 {
			kind = []byte{0x86, 0xdd}
		}
		return append(append(make([]byte, 12), kind...), b[innerAt:]...)
	}
	end := network + int(binary.BigEndian.Uint16(frame[network+2:]))
	if v6 {
		end = network + 40 + int(binary.BigEndian.Uint16(frame[network+4:]))
	}
	h2, inner := h, isolated(frame[:end])
	h2.GSOType &^= tunnelBits
	h2.HdrLen -= uint16(innerAt - 14)
	h2.CsumStart -= uint16(innerAt - 14)
	a, innerV6 := dissect(t, h2, inner)
	payload, before := inner[h2.HdrLen:], bytes.Clone(frame)
	segments, dst := vnet.Cut(h, frame), make([]byte, vnet.WireLen(h, frame))
	for i := 0; !segments.Done(); i++ {
		n := segments.Next(dst)
		if n < int(h.HdrLen) {
			t.Fatalf("segment %d has %d bytes", i, n)
		}
		checkOuter(t, frame[:innerAt], dst[:n], network, v6, i)
		piece := isolated(dst[:n])
		fuzzSegment(t, h2, inner, piece, a, innerV6, i)
		part := piece[h2.HdrLen:]
		if !bytes.HasPrefix(payload, part) || len(part) > int(h.GSOSize) || len(part) < int(h.GSOSize) && len(part) != len(payload) {
			t.Fatalf("segment %d has %d bytes and another payload", i, len(part))
		}
		payload = payload[len(part):]
	}
	if len(payload) > 0 || !bytes.Equal(before, frame) {
		t.Fatalf("%d bytes are missing, or the frame changed", len(payload))
	}
}

// innerNetwork returns the offset of the inner IP header.
func innerNetwork(t *testing.T, h vnet.Header, frame []byte) int {
	t.Helper()
	start := int(h.CsumStart)
	for words := 5; words < 16; words++ {
		at := start - 4*words
		if at > 14 && frame[at] == 0x40|byte(words) && slowSum(frame[at:start]) == 0xffff && at+int(binary.BigEndian.Uint16(frame[at+2:])) <= len(frame) {
			return at
		}
	}
	if at := start - 40; at > 14 && frame[at]>>4 == 6 {
		return at
	}
	t.Fatalf("%+v is accepted, without an inner packet", h)
	return 0
}

// checkOuter compares the outer headers of segment i with those of the frame, and verifies their checksums.
func checkOuter(t *testing.T, headers, segment []byte, network int, v6 bool, i int) {
	t.Helper()
	want, ip := bytes.Clone(headers), segment[network:]
	transport, protocol, pseudo := network+int(ip[0]&15)*4, ip[9], bytes.Clone(ip[12:20])
	if v6 {
		transport, protocol, pseudo = outerTransport(ip, network)
		binary.BigEndian.PutUint16(want[network+4:], uint16(len(ip)-40))
	} else {
		binary.BigEndian.PutUint16(want[network+2:], uint16(len(ip)))
		binary.BigEndian.PutUint16(want[network+4:], binary.BigEndian.Uint16(headers[network+4:])+uint16(i))
		copy(want[network+10:], ip[10:12])
		if slowSum(segment[network:transport]) != 0xffff {
			t.Fatalf("segment %d has a wrong outer IPv4 checksum", i)
		}
	}
	if protocol == udp {
		datagram := segment[transport:]
		binary.BigEndian.PutUint16(want[transport+4:], uint16(len(datagram)))
		if headers[transport+6] != 0 || headers[transport+7] != 0 {
			copy(want[transport+6:], datagram[6:8])
			pseudo = append(pseudo, 0, udp, byte(len(datagram)>>8), byte(len(datagram)))
			if sum := slowSum(append(pseudo, datagram...)); sum != 0xffff || datagram[6] == 0 && datagram[7] == 0 {
				t.Fatalf("segment %d has a wrong outer UDP checksum", i)
			}
		}
	}
	if !bytes.Equal(want, segment[:len(headers)]) {
		t.Fatalf("segment %d has the outer headers\n%x, want\n%x", i, segment[:len(headers)], want)
	}
}

// outerTransport walks through the extension headers of an IPv6 packet, and returns the addresses of the pseudo-header too.
func outerTransport(ip []byte, network int) (transport int, protocol uint8, pseudo []byte) {
	next, at := ip[6], 40
	for next == 0 || next == 43 || next == 44 || next == 51 || next == 60 {
		length := 8 * (int(ip[at+1]) + 1)
		switch next {
		case 51:
			length = 4 * (int(ip[at+1]) + 2)
		case 44:
			length = 8
		}
		next, at = ip[at], at+length
	}
	return network + at, next, append(bytes.Clone(ip[8:24]), finalAddress(ip, at)...)
}

func TestCheckRefusesTunnel(t *testing.T) {
	for _, test := range []struct {
		name   string
		of     int // in tunnels
		change func(h *vnet.Header, frame []byte)
	}{
		{"fragments of a datagram in a tunnel", 4, func(h *vnet.Header, _ []byte) { h.GSOType = vnet.GSOUDP }},
		{"the same with the flag of a tunnel", 4, func(h *vnet.Header, _ []byte) { h.GSOType = vnet.GSOUDP | vnet.GSOTunnelIPv4 }},
		{"another version outside", 0, func(h *vnet.Header, _ []byte) { h.GSOType |= vnet.GSOTunnelIPv6 }},
		{"both versions", 0, func(h *vnet.Header, _ []byte) { h.GSOType |= tunnelBits }},
		{"another version inside", 0, func(h *vnet.Header, _ []byte) { h.GSOType = vnet.GSOTCPv6 }},
		{"a flag of the later header", 0, func(h *vnet.Header, _ []byte) { h.Flags |= 8 }},
		{"a checksum onto TCP's flags", 0, func(h *vnet.Header, _ []byte) { h.CsumOffset = 12 }},
		{"start two bytes late", 0, func(h *vnet.Header, _ []byte) { h.CsumStart += 2 }},
		{"start before the inner packet", 0, func(h *vnet.Header, _ []byte) { h.CsumStart = 42 }},
		{"a wrong checksum of the inner header", 0, func(h *vnet.Header, frame []byte) { frame[h.CsumStart-10]++ }},
		{"an inner packet that ends early", 0, func(h *vnet.Header, frame []byte) {
			ip := frame[h.CsumStart-20 : h.CsumStart]
			ip[3]--
			ip[10], ip[11] = 0, 0
			binary.BigEndian.PutUint16(ip[10:], ^slowSum(ip))
		}},
		{"an inner fragment", 0, func(h *vnet.Header, frame []byte) {
			ip := frame[h.CsumStart-20 : h.CsumStart]
			ip[6], ip[10], ip[11] = 0x20, 0, 0
			binary.BigEndian.PutUint16(ip[10:], ^slowSum(ip))
		}},
		{"an outer fragment", 0, func(_ *vnet.Header, frame []byte) { frame[20] = 0x20 }},
		{"an outer length beyond the frame", 0, func(_ *vnet.Header, frame []byte) { frame[16] = 0xff }},
		{"an inner IPv6 length", 8, func(h *vnet.Header, frame []byte) { frame[h.CsumStart-35]++ }},
		{"GRE with a checksum", 6, func(_ *vnet.Header, frame []byte) { frame[34] = 0x80 }},
		{"GRE with sequence numbers", 6, func(_ *vnet.Header, frame []byte) { frame[34] = 0x10 }},
		{"GRE of PPTP", 6, func(_ *vnet.Header, frame []byte) { frame[35] = 1 }},
		{"a protocol without tunnels", 7, func(_ *vnet.Header, frame []byte) { frame[23] = 50 }},
	} {
		h, frame := tunnels()[test.of].frame(1000)
		test.change(&h, frame)
		refuse(t, test.name, h, frame)
	}
	far := tunnel{outer: packet{protocol: udp}, between: make([]byte, 305), inner: tcp4, ethernet: true}
	h, frame := far.frame(1000)
	refuse(t, "an inner packet that is too far behind", h, frame)
	far.between = far.between[:296]
	if h, frame := far.frame(1000); !vnet.Check(&h, frame) {
		t.Error("the headers of Geneve with all options are rejected")
	}
}
