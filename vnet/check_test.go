package vnet_test

import (
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

var (
	timestamps   = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	routerAlert  = []byte{0x94, 4, 0, 0}
	hopByHop     = []byte{0, 0, 5, 2, 0, 0, 1, 0}
	oneTag       = []uint16{0x8100}
	twoTags      = []uint16{0x88a8, 0x8100}
	tcp4         = packet{protocol: tcp, flags: ack, payload: 3000}
	tcp6         = packet{v6: true, protocol: tcp, flags: ack, payload: 3000}
	udp4         = packet{protocol: udp, payload: 3000}
	udp6         = packet{v6: true, protocol: udp, payload: 3000}
	icmp4        = packet{protocol: 1, payload: 3000}
	icmp6        = packet{v6: true, protocol: 58, payload: 3000}
	tcp4Options  = packet{protocol: tcp, tcpOptions: timestamps, options: routerAlert, payload: 3000}
	tcp6Signed   = packet{v6: true, protocol: tcp, extensions: append([]byte{0, 4}, make([]byte, 22)...), firstNext: 51, payload: 3000}
	laterPart    = packet{v6: true, protocol: 0, extensions: []byte{0, 0, 1, 0, 0, 0, 0, 9}, firstNext: 44, payload: 3000}
	tcp6Routed   = packet{v6: true, protocol: tcp, extensions: route(2, 1, 1), firstNext: 43, final: 8, payload: 3000}
	udp6Extended = packet{v6: true, protocol: udp, extensions: hopByHop, firstNext: 0, payload: 3000}
	tcp6Extended = packet{v6: true, protocol: tcp, tcpOptions: timestamps, extensions: hopByHop, firstNext: 0, payload: 3000}
)

// route returns an IPv6 routing header of a type, with the given numbers of addresses and of segments left.
func route(kind, addresses, left byte) []byte {
	b := []byte{0, 2 * addresses, kind, left, 0, 0, 0, 0}
	for i := range addresses {
		address := [16]byte{0xfd, 9, 15: 1 + i}
		b = append(b, address[:]...)
	}
	return b
}

// with returns h after change.
func with(h vnet.Header, change func(*vnet.Header)) vnet.Header {
	change(&h)
	return h
}

func TestCheckAccepts(t *testing.T) {
	arp := append([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06"), make([]byte, 46)...)
	tagged := func(p packet, tags []uint16) packet { p.tags = tags; return p }
	padded := packet{protocol: udp, payload: 1, padding: 17}
	checksum := func(p packet) vnet.Header { return p.header() }
	exact := func(p packet, size uint16, headerLen int) vnet.Header {
		return with(p.gso(size), func(h *vnet.Header) { h.HdrLen = uint16(headerLen) })
	}
	// VXLAN of a guest: the checksum to complete is that of the inner packet.
	tunnel := vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: 14 + 20 + 8 + 8 + 14 + 20, CsumOffset: 16}
	tests := []struct {
		name  string
		h     vnet.Header
		frame []byte
		want  vnet.Header // after Check
	}{
		{"zero header, no frame", vnet.Header{}, nil, vnet.Header{}},
		{"zero header, half a frame", vnet.Header{}, make([]byte, 7), vnet.Header{}},
		{"zero header, ARP", vnet.Header{}, arp, vnet.Header{}},
		{"data valid", vnet.Header{Flags: vnet.FlagDataValid}, tcp4.frame(), vnet.Header{Flags: vnet.FlagDataValid}},
		{"left-over fields", vnet.Header{HdrLen: 60000, GSOSize: 1, CsumStart: 3, CsumOffset: 9}, arp, vnet.Header{}},
		{"checksum TCPv4", tcp4.header(), tcp4.frame(), checksum(tcp4)},
		{"checksum TCPv6", tcp6.header(), tcp6.frame(), checksum(tcp6)},
		{"checksum ICMP", with(icmp4.header(), func(h *vnet.Header) { h.CsumOffset = 2 }), icmp4.frame(), with(icmp4.header(), func(h *vnet.Header) { h.CsumOffset = 2 })},
		{"checksum UDP, padded", padded.header(), padded.frame(), checksum(padded)},
		{"checksum, one tag", tagged(tcp4, oneTag).header(), tagged(tcp4, oneTag).frame(), checksum(tagged(tcp4, oneTag))},
		{"checksum, left-over hint", with(tcp4.header(), func(h *vnet.Header) { h.HdrLen, h.GSOSize = 60000, 7 }), tcp4.frame(), checksum(tcp4)},
		{"checksum within a tunnel", tunnel, udp4.frame(), tunnel},
		{"GSO TCPv4", tcp4.gso(1448), tcp4.frame(), exact(tcp4, 1448, 54)},
		{"GSO TCPv4 with options", tcp4Options.gso(1448), tcp4Options.frame(), exact(tcp4Options, 1448, 14+24+32)},
		{"GSO TCPv6", tcp6.gso(1428), tcp6.frame(), exact(tcp6, 1428, 74)},
		{"GSO TCPv6 with extension", tcp6Extended.gso(1428), tcp6Extended.frame(), exact(tcp6Extended, 1428, 14+48+32)},
		{"GSO TCPv6 with authentication", tcp6Signed.gso(1428), tcp6Signed.frame(), exact(tcp6Signed, 1428, 14+64+20)},
		{"checksum in a later IPv6 fragment", laterPart.header(), laterPart.frame(), checksum(laterPart)},
		{"GSO UDPv4", udp4.gso(1200), udp4.frame(), exact(udp4, 1200, 42)},
		{"GSO UDPv6", udp6.gso(1200), udp6.frame(), exact(udp6, 1200, 62)},
		{"GSO, two tags", tagged(tcp4, twoTags).gso(1448), tagged(tcp4, twoTags).frame(), exact(tagged(tcp4, twoTags), 1448, 62)},
		{"GSO TCPv6 with a route", tcp6Routed.gso(1428), tcp6Routed.frame(), exact(tcp6Routed, 1428, 14+40+24+20)},
		{"GSO, many segments", tcp4.gso(3), tcp4.frame(), exact(tcp4, 3, 54)},
		{"GSO UDPv4, many datagrams", udp4.gso(24), udp4.frame(), exact(udp4, 24, 42)},
		{"GSO, one segment", tcp4.gso(65535), tcp4.frame(), exact(tcp4, 65535, 54)},
		{"GSO, hint below the checksum", with(tcp4.gso(1448), func(h *vnet.Header) { h.HdrLen = 14 }), tcp4.frame(), exact(tcp4, 1448, 54)},
		{"GSO with ECN", with(tcp4.gso(1448), func(h *vnet.Header) { h.GSOType |= vnet.GSOECN }), tcp4.frame(),
			with(exact(tcp4, 1448, 54), func(h *vnet.Header) { h.GSOType |= vnet.GSOECN })},
	}
	for _, test := range tests {
		got := test.h
		if !vnet.Check(&got, test.frame) {
			t.Errorf("%s: %+v is rejected", test.name, test.h)
		} else if got != test.want {
			t.Errorf("%s: becomes %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestCheckRefusesImpossibleHeader(t *testing.T) {
	frames := map[string]packet{"tcp4": tcp4, "tcp6": tcp6, "udp4": udp4, "udp6": udp6Extended, "icmp4": icmp4, "icmp6": icmp6}
	tests := []struct {
		name, frame string
		gso         bool
		change      func(*vnet.Header)
	}{
		{"RSC flag", "tcp4", false, func(h *vnet.Header) { h.Flags |= 4 }},
		{"unknown flag", "tcp4", false, func(h *vnet.Header) { h.Flags = 0x80 }},
		{"checksum at the end", "tcp4", false, func(h *vnet.Header) { h.CsumOffset = uint16(len(tcp4.frame())-1) - h.CsumStart }},
		{"checksum beyond", "tcp4", false, func(h *vnet.Header) { h.CsumStart = 65535 }},
		{"offsets overflow 16 bits", "tcp4", false, func(h *vnet.Header) { h.CsumStart, h.CsumOffset = 65535, 65535 }},
		{"checksum from the frame's start", "tcp4", false, func(h *vnet.Header) { h.CsumStart = 0 }},
		{"checksum in the Ethernet header", "tcp4", false, func(h *vnet.Header) { h.CsumStart = 13 }},
		{"checksum onto the source address", "tcp4", false, func(h *vnet.Header) { h.CsumStart, h.CsumOffset = 14, 12 }},
		{"checksum from within the IP header", "tcp4", false, func(h *vnet.Header) { h.CsumStart -= 2; h.CsumOffset += 2 }},
		{"checksum from within the IPv6 header", "tcp6", false, func(h *vnet.Header) { h.CsumStart -= 2; h.CsumOffset += 2 }},
		{"checksum onto TCP's flags", "tcp4", false, func(h *vnet.Header) { h.CsumOffset = 12 }},
		{"checksum onto TCP's urgent pointer", "tcp4", false, func(h *vnet.Header) { h.CsumOffset = 18 }},
		{"checksum of half a TCP segment", "tcp4", false, func(h *vnet.Header) { h.CsumStart += 2; h.CsumOffset -= 2 }},
		{"checksum onto TCP's payload", "tcp6", false, func(h *vnet.Header) { h.CsumOffset = 100 }},
		{"checksum onto ICMP's type", "icmp4", false, func(h *vnet.Header) { h.CsumOffset = 0 }},
		{"checksum onto what ICMP quotes", "icmp4", false, func(h *vnet.Header) { h.CsumOffset = 8 + 16 }},
		{"checksum onto what ICMPv6 quotes", "icmp6", false, func(h *vnet.Header) { h.CsumOffset = 8 + 40 }},
		{"checksum onto a port", "udp4", false, func(h *vnet.Header) { h.CsumOffset = 2 }},
		{"checksum onto the UDP length", "udp4", false, func(h *vnet.Header) { h.CsumOffset = 5 }},
		{"GSO without checksum", "tcp4", true, func(h *vnet.Header) { h.Flags = 0 }},
		{"GSO with valid data only", "tcp4", true, func(h *vnet.Header) { h.Flags = vnet.FlagDataValid }},
		{"gso_size 0", "tcp4", true, func(h *vnet.Header) { h.GSOSize = 0 }},
		{"too many segments", "tcp4", true, func(h *vnet.Header) { h.GSOSize = 2 }},
		{"too many datagrams", "udp4", true, func(h *vnet.Header) { h.GSOSize = 23 }},
		{"gso_type unknown", "tcp4", true, func(h *vnet.Header) { h.GSOType = 2 }},
		{"gso_type UFO behind an IPv6 extension", "udp6", true, func(h *vnet.Header) { h.GSOType = 3 }},
		{"gso_type of a UDP tunnel", "tcp4", true, func(h *vnet.Header) { h.GSOType |= 0x20 }},
		{"gso_type ECN alone", "tcp4", true, func(h *vnet.Header) { h.GSOType = vnet.GSOECN }},
		{"gso_type ECN of UDP", "udp4", true, func(h *vnet.Header) { h.GSOType |= vnet.GSOECN }},
		{"TCPv6 for TCPv4", "tcp4", true, func(h *vnet.Header) { h.GSOType = vnet.GSOTCPv6 }},
		{"TCPv4 for TCPv6", "tcp6", true, func(h *vnet.Header) { h.GSOType = vnet.GSOTCPv4 }},
		{"TCPv4 for UDP", "udp4", true, func(h *vnet.Header) { h.GSOType = vnet.GSOTCPv4 }},
		{"UDP for TCP", "tcp4", true, func(h *vnet.Header) { h.GSOType = vnet.GSOUDPL4 }},
		{"csum_start odd", "tcp4", true, func(h *vnet.Header) { h.CsumStart++ }},
		{"csum_start behind the header", "tcp4", true, func(h *vnet.Header) { h.CsumStart += 20 }},
		{"TCP with UDP's offset", "tcp4", true, func(h *vnet.Header) { h.CsumOffset = 6 }},
		{"UDP with TCP's offset", "udp4", true, func(h *vnet.Header) { h.CsumOffset = 16 }},
	}
	for _, test := range tests {
		p := frames[test.frame]
		h := p.header()
		if test.gso {
			h = p.gso(1000)
		}
		test.change(&h)
		refuse(t, test.name, h, p.frame())
	}
}

func TestCheckRefusesLyingFrame(t *testing.T) {
	at := func(i int, value ...byte) func([]byte) []byte {
		return func(frame []byte) []byte { copy(frame[i:], value); return frame }
	}
	cut := func(n int) func([]byte) []byte { return func(frame []byte) []byte { return frame[:n] } }
	tests := []struct {
		name   string
		packet packet
		gso    bool
		change func([]byte) []byte
	}{
		{"no Ethernet header", tcp4, false, cut(13)},
		{"no IP header", tcp4, false, cut(14)},
		{"ends within the IPv4 header", tcp4, true, cut(14 + 19)},
		{"ends within the TCP header", tcp4, true, cut(14 + 20 + 19)},
		{"ends within the VLAN tag", packet{tags: oneTag, protocol: tcp}, false, cut(16)},
		{"IPv4 of version 5", tcp4, false, at(14, 0x55)},
		{"IHL 4", tcp4, false, at(14, 0x44)},
		{"IHL beyond the transport header", tcp4, true, at(14, 0x4f)},
		{"IPv6 of version 4", tcp6, false, at(14, 0x45)},
		{"ARP", tcp4, false, at(12, 0x08, 0x06)},
		{"MPLS to segment", tcp4, true, at(12, 0x88, 0x47)},
		{"SCTP to segment", tcp4, true, at(23, sctp)},
		{"first fragment to segment", tcp4, true, at(20, 0x20)},
		{"later fragment to segment", tcp4, true, at(20, 0x00, 0x10)},
		{"total length beyond the frame", tcp4, true, at(16, 0xff, 0xff)},
		{"total length 0", tcp4, true, at(16, 0, 0)},
		{"total length within the TCP header", tcp4, true, at(16, 0, 39)},
		{"IPv6 payload length 0", tcp6, true, at(18, 0, 0)},
		{"IPv6 payload length beyond the frame", tcp6, true, at(18, 0xff, 0xff)},
		{"TCP data offset 4", tcp4, true, at(14+20+12, 0x40)},
		{"TCP data offset beyond the frame", packet{protocol: tcp, payload: 39}, true, at(14+20+12, 0xf0)},
		{"IPv6 extension beyond the frame", tcp6Extended, true, at(14+40+1, 255, 0)},
		{"IPv6 extensions without end", tcp6, true, func(frame []byte) []byte {
			frame[20] = 0
			clear(frame[54:])
			return frame
		}},
		{"IPv6 fragment to segment", packet{v6: true, protocol: tcp, extensions: []byte{0, 0, 0, 1, 0, 0, 0, 9}, firstNext: 44, payload: 99}, true, cut(14 + 40 + 8 + 20 + 99)},
	}
	for _, test := range tests {
		h := test.packet.header()
		if test.gso {
			h = test.packet.gso(1000)
		}
		refuse(t, test.name, h, test.change(test.packet.frame()))
	}
}

// Frames that end within their headers, with the checksum field in their last two bytes.
func TestCheckRefusesShortFrame(t *testing.T) {
	tagged := packet{tags: twoTags, v6: true, protocol: udp, extensions: hopByHop, payload: 10}
	for _, p := range []packet{tcp4Options, tcp6Extended, tagged} {
		frame := p.frame()
		for n := range p.transport() + 8 {
			end := uint16(max(n, 2))
			refuse(t, "checksum field last", vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: end - 2}, frame[:n])
			refuse(t, "checksum from the start", vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumOffset: end - 2}, frame[:n])
		}
	}
}

// refuse fails the test if Check accepts or changes the header.
func refuse(t *testing.T, name string, h vnet.Header, frame []byte) {
	t.Helper()
	got := h
	if vnet.Check(&got, frame) {
		t.Errorf("%s: %+v is accepted", name, h)
	} else if got != h {
		t.Errorf("%s: the rejected header changed from %+v to %+v", name, h, got)
	}
}

func TestWireLen(t *testing.T) {
	tests := []struct {
		name string
		p    packet
		gso  uint16
		want int
	}{
		{"no GSO", tcp4, 0, 3054},
		{"full segments", tcp4, 1448, 54 + 1448},
		{"one segment", tcp4, 65535, 3054},
		{"UDP", udp6, 1000, 62 + 1000},
	}
	for _, test := range tests {
		h := test.p.header()
		if test.gso > 0 {
			h = test.p.gso(test.gso)
		}
		frame := test.p.frame()
		if !vnet.Check(&h, frame) {
			t.Fatalf("%s: rejected", test.name)
		}
		if got := vnet.WireLen(h, frame); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	headers := []vnet.Header{{}, tcp6Extended.header(), tcp6Extended.gso(1000)}
	frame := tcp6Extended.frame()
	if n := testing.AllocsPerRun(100, func() {
		for _, h := range headers {
			if !vnet.Check(&h, frame) {
				t.Error("rejected")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	benchmarks := []struct {
		name  string
		h     vnet.Header
		frame []byte
	}{
		{"zero", vnet.Header{}, tcp4.frame()},
		{"checksum", tcp4.header(), tcp4.frame()},
		{"gso4", tcp4.gso(1448), tcp4.frame()},
		{"gso6", tcp6.gso(1428), tcp6.frame()},
	}
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h := bench.h
				if !vnet.Check(&h, bench.frame) {
					b.Fatal("refused")
				}
			}
		})
	}
}
