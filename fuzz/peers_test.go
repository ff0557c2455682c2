package fuzz

import (
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A peer is a list of frames that made another switch or network stack crash, loop or leak, or that switches are known to handle wrongly.
type peer struct {
	name   string
	frames []vswitch.Frame
}

func bare(data ...byte) vswitch.Frame { return vswitch.Frame{Data: data} }

func typed(to, from vswitch.MAC, ethertype uint16, rest ...byte) vswitch.Frame {
	return vswitch.Frame{Data: append(ethernet(to, from, ethertype), rest...)}
}

func packets(list ...ipv4) (frames []vswitch.Frame) {
	for _, p := range list {
		frames = append(frames, plain(p))
	}
	return frames
}

// cut returns a truncated frame.
func cut(f vswitch.Frame, n int) vswitch.Frame {
	f.Data = f.Data[:n]
	return f
}

var segment = append(tcpHeader(0x18, ""), make([]byte, 3000)...)

var peers = []peer{
	// gvisor-tap-vsock indexed into a frame without a check of its length; gVisor panicked on a tun write of 0 bytes (beabb5de0).
	{"zero and short frames", []vswitch.Frame{bare(), bare(2), cut(typed(routerMAC, guestMAC, 0x800), 6), cut(typed(routerMAC, guestMAC, 0x800), 13),
		typed(routerMAC, guestMAC, 0x0800), typed(routerMAC, guestMAC, 0x0806, 0, 1), typed(routerMAC, guestMAC, 0x8100, 0),
		cut(plain(ipv4{to: farIP}), 33)}},
	// passt processed Ethernet padding as payload (f072bc0).
	{"60 bytes with padding", []vswitch.Frame{{Data: append(plain(ipv4{to: farIP, payload: udpTo(2, 1)}).Data, make([]byte, 17)...)},
		{Data: append(plain(ipv4{to: farIP, payload: udpTo(2, 1)}).Data, make([]byte, 2000)...)},
		{Data: append(plain(ipv4{to: farIP, flags: 0x4000, payload: udpTo(2, 1)}).Data, make([]byte, 2000)...)}}},
	// tailscale (21331): a header length below the minimum, and beyond the packet.
	{"header length", packets(ipv4{to: farIP, ihl: 4, payload: udpTo(2, 9)}, ipv4{to: farIP, ihl: 15, payload: udpTo(2, 9)},
		ipv4{to: farIP, ihl: 15, total: 60, payload: udpTo(2, 40)}, ipv4{to: farIP, ihl: 6, payload: []byte{1, 2, 3}})},
	// tailscale (21232): a total length without room for the transport header, or beyond the frame.
	{"total length", packets(ipv4{to: farIP, total: 19, payload: udpTo(2, 9)}, ipv4{to: farIP, total: 27, payload: udpTo(2, 9)},
		ipv4{to: farIP, total: 39, protocol: 6, payload: segment}, ipv4{to: farIP, total: 27, protocol: 1, payload: udpTo(2, 9)},
		ipv4{to: farIP, total: 65535, payload: udpTo(2, 9)}, ipv4{to: farIP, total: 20, protocol: 47})},
	// gVisor (41ccfb37a) panicked on a packet with options.
	{"options", packets(ipv4{to: farIP, options: "\x94\x04\x00\x00", payload: udpTo(2, 9)}, ipv4{to: farIP, options: sixty, payload: udpTo(2, 9)},
		ipv4{to: farIP, options: "\x07\xff\x00\x00", payload: udpTo(2, 9)}, ipv4{to: farIP, options: "\x83\x07\x04\x0a\x00\x00\x01\x00", payload: udpTo(2, 9)},
		ipv4{to: farIP, options: "\x01\x89\x03\x04", payload: udpTo(2, 9)}, ipv4{to: farIP, options: "\x01\x01\x01\x07", payload: udpTo(2, 9)},
		ipv4{to: farIP, options: "\x00\x83\x00\x00", payload: udpTo(2, 9)}, ipv4{to: farIP, options: "\x94\x01\x00\x00", payload: udpTo(2, 9)})},
	// gVisor (752de092a) panicked when it forwarded an unknown transport protocol.
	{"unknown transports", packets(ipv4{to: farIP, protocol: 255}, ipv4{to: farIP, protocol: 2, payload: []byte{1}}, ipv4{to: farIP, protocol: 132})},
	// gVisor (9a232a6e5): a data offset beyond the segment, and below the minimum.
	{"data offset", packets(ipv4{to: farIP, protocol: 6, payload: offset(15)}, ipv4{to: farIP, protocol: 6, payload: offset(4)},
		ipv4{to: farIP, protocol: 6, payload: offset(0)}, ipv4{to: farIP, protocol: 6, payload: offset(6)}, ipv4{to: farIP, protocol: 6, payload: offset(5)[:19]})},
	// TCP options with wrong lengths, which the search for the MSS option reads.
	{"TCP options", packets(ipv4{to: farIP, protocol: 6, payload: tcpHeader(2, "\x02\x04\x05\xb4")}, ipv4{to: farIP, protocol: 6, payload: tcpHeader(2, "\x01\x02\x04\x05\xb4\x00\x00\x00")},
		ipv4{to: farIP, protocol: 6, payload: tcpHeader(2, "\x01\x01\x01\x02")}, ipv4{to: farIP, protocol: 6, payload: tcpHeader(2, "\x08\x00\x02\x04")},
		ipv4{to: farIP, protocol: 6, payload: tcpHeader(2, "\x08\xff\x02\x04")}, ipv4{to: farIP, protocol: 6, payload: tcpHeader(2, "\x01\x01\x02\x04")},
		ipv4{to: farIP, protocol: 6, payload: tcpHeader(2, "\x03\x03\x07\x02\x04\xff\xff\x01")}, ipv4{to: farIP, protocol: 6, payload: tcpHeader(0x12, "\x02\x03\x05\xb4")})},
	// gVisor (901ffefc3): a UDP length beyond the payload.
	{"UDP length", packets(ipv4{to: farIP, payload: []byte{0, 1, 0, 2, 0, 255, 0, 0, 1}}, ipv4{to: farIP, payload: []byte{0, 1, 0, 2, 0, 8, 0, 0, 1}},
		ipv4{to: farIP, flags: 0x2000, payload: []byte{0, 1, 0, 2, 0, 255, 0, 0, 1}})},
	// The DHCP library (583) computed a negative slice bound for a UDP length below 8.
	{"UDP length at DHCP's ports", packets(ipv4{to: [4]byte{255, 255, 255, 255}, payload: []byte{0, 68, 0, 67, 0, 7, 0, 0}},
		ipv4{to: [4]byte{255, 255, 255, 255}, payload: []byte{0, 68, 0, 67, 0, 0, 0, 0}}, ipv4{to: [4]byte{255, 255, 255, 255}, payload: []byte{0, 68, 0, 67, 0, 8, 0, 0}},
		ipv4{to: farIP, payload: []byte{0, 68, 0, 67, 0, 8, 0, 0}})},
	// tailscale (20320) merged IPv4 fragments like segments.
	{"fragments with offloads", []vswitch.Frame{undone(ipv4{to: farIP, protocol: 6, flags: 0x2000, payload: segment}, 16, 1, 1400),
		undone(ipv4{to: farIP, protocol: 6, flags: 3, payload: segment}, 16, 1, 1400), undone(ipv4{to: farIP, flags: 0x2000, payload: udpTo(2, 800)}, 6, 0, 0)}},
	// Open vSwitch has a separate test for later fragments of IPv6: no header follows in them.
	{"IPv6 fragments and extensions", []vswitch.Frame{v6(44, "\x06\x00\x00\x01\x00\x00\x00\x07"), v6(44, "\x06\x00\x05\xa9\x00\x00\x00\x07"), v6(44, "\x2c\x00\x00\x08\x00\x00\x00\x07"),
		v6(0, "\x06\x00\x01\x04\x00\x00\x00\x00"), v6(0, "\x06\xff\x01\x04\x00\x00\x00\x00"), v6(51, "\x06\x00\x00\x00\x00\x00\x00\x00"), v6(43, "\x3c\x00\x01\x04\x00\x00\x00\x00\x06\x00\x01\x04\x00\x00\x00\x00"),
		v6(60, nine), v6(6, ""), cut(v6(6, ""), 53), cut(v6(0, "\x06\x00"), 56)}},
	// Neighbour discovery with an option of length 0, which makes naive parsers loop. IP mode drops IPv6; a bridge floods it.
	{"router advertisement and neighbour solicitation with an option of length 0", []vswitch.Frame{
		discovery("\x86\x00\x00\x00\x40\x00\x07\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x02\x00\x00\x00\x00\x01"),
		discovery("\x87\x00\x00\x00\x00\x00\x00\x00\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x02\x00\x00\x00\x00\x01")}},
	// Nested tags with an unknown or no payload.
	{"tags in tags", []vswitch.Frame{typed(routerMAC, guestMAC, 0x88a8, 0, 1, 0x81, 0, 0, 2, 0x12, 0x34), typed(routerMAC, guestMAC, 0x88a8, 0, 1, 0x81, 0, 0, 2), typed(routerMAC, guestMAC, 0x8100, 0, 1, 0x81),
		typed(routerMAC, guestMAC, 0x8100, 0, 1, 8, 0), {Offload: vnet.Header{Flags: 1, CsumStart: 18, CsumOffset: 2}, Data: typed(routerMAC, guestMAC, 0x8100, 0, 1, 0x12, 0x34, 0, 0, 0, 0).Data}}},
	// The kernel's tests no_forwarding (802.3 lengths instead of types) and local_termination (PTP, LLDP and BPDUs stay on their link).
	{"802.3 lengths, and reserved groups", []vswitch.Frame{typed(routerMAC, guestMAC, 4, 1, 2, 3, 4), typed(routerMAC, guestMAC, 0), typed(vswitch.MAC{1, 0x80, 0xc2, 0, 0, 0}, guestMAC, 38, 0x42, 0x42, 3),
		typed(lldpMAC, guestMAC, 0x88f7), typed(lldpMAC, guestMAC, 0x88cc), typed(vswitch.MAC{1, 0x80, 0xc2, 0, 0, 0x0f}, guestMAC, 0x0800), typed(vswitch.MAC{1, 0x80, 0xc2, 0, 0, 0x10}, guestMAC, 0x0800)}},
	// A source that is a group, zero or the destination must not be learned.
	{"sources that are no station", []vswitch.Frame{typed(vswitch.Broadcast, groupMAC, 0x0800), typed(vswitch.Broadcast, vswitch.Broadcast, 0x0806), typed(vswitch.Broadcast, noMAC, 0x0800),
		typed(guestMAC, guestMAC, 0x0800), typed(wireMAC, wireMAC, 0x0800), typed(routerMAC, routerMAC, 0x0806)}},
	// Linux rejects these since an update, which broke tailscale (13041); other programs divided by the segment size.
	{"impossible offloads", offloads()},
	// virtio-net of Linux 6.17 sends segments of tunnels; a packet socket has them with the header of a plain segment.
	{"segments in a tunnel", tunnelled()},
	// The sender chooses the packet that an ICMP error quotes.
	{"quotes", packets(ipv4{to: farIP, protocol: 1, payload: []byte{3, 4, 0, 0, 0, 0, 0}}, ipv4{to: farIP, protocol: 1, payload: make([]byte, 8)},
		ipv4{to: farIP, protocol: 1, payload: quote(0x45, 6, 19)}, ipv4{to: farIP, protocol: 1, payload: quote(0x45, 6, 23)}, ipv4{to: farIP, protocol: 1, payload: quote(0x45, 6, 24)},
		ipv4{to: farIP, protocol: 1, payload: quote(0x4f, 6, 40)}, ipv4{to: farIP, protocol: 1, payload: quote(0x44, 6, 40)}, ipv4{to: farIP, protocol: 1, payload: quote(0x45, 17, 40)})},
	// ARP for other addresses than IPv4 over Ethernet, and truncated ARP.
	{"ARP", []vswitch.Frame{typed(vswitch.Broadcast, guestMAC, 0x0806, 0, 1, 8, 0, 6, 16, 0, 1), cut(hostARP(1, guestMAC, peerIP), 41), hostARP(0, guestMAC, peerIP), hostARP(2, gwMAC, podIP),
		hostARP(1, groupMAC, peerIP), hostARP(1, gwMAC, [4]byte{127, 0, 0, 1}), hostARP(1, gwMAC, [4]byte{224, 0, 0, 1}), hostARP(1, gwMAC, [4]byte{255, 255, 255, 255}), hostARP(1, gwMAC, [4]byte{8, 8, 8, 8}), hostARP(1, wireMAC, peerIP)}},
}

// nine returns more extension headers than the parsers accept.
const nine = "\x3c\x00\x00\x00\x00\x00\x00\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x3c\x00\x00\x00\x00\x00\x00\x00" +
	"\x3c\x00\x00\x00\x00\x00\x00\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"

func offset(words byte) []byte {
	b := tcpHeader(0x02, "\x02\x04")
	b[12] = words << 4
	return b
}

// quote returns an ICMP error that quotes n bytes of a packet from a kept port of the pod address.
func quote(first, protocol byte, n int) []byte {
	q := ipv4{to: farIP, protocol: protocol, payload: append([]byte{0x1f, 0x90, 0, 80}, make([]byte, 20)...)}.bytes()
	q[0] = first
	return append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, q[:min(n, len(q))]...)
}

// discovery returns an ICMPv6 message to all hosts, with the required hop limit (RFC 4861, section 6.1).
func discovery(message string) vswitch.Frame {
	b := append(ethernet(vswitch.MAC{0x33, 0x33, 0, 0, 0, 1}, guestMAC, 0x86dd), 0x60, 0, 0, 0, 0, byte(len(message)), 58, 255)
	b = append(append(b, 0xfe, 0x80), make([]byte, 13)...)
	b = append(append(b, 1, 0xff, 2), make([]byte, 13)...)
	return vswitch.Frame{Data: append(append(b, 1), message...)}
}

// v6 returns a frame with extension headers and a TCP header, with a checksum to complete and segments to cut.
func v6(next byte, extensions string) vswitch.Frame {
	body := append([]byte(extensions), segment...)
	b := append(ethernet(otherMAC, guestMAC, 0x86dd), 0x60, 0, 0, 0, byte(len(body)>>8), byte(len(body)), next, 64)
	b = append(append(b, make([]byte, 32)...), body...)
	h := vnet.Header{Flags: 1, GSOType: 4, GSOSize: 1400, CsumStart: uint16(54 + len(extensions)), CsumOffset: 16}
	return vswitch.Frame{Offload: h, Data: b}
}

func offloads() (frames []vswitch.Frame) {
	tcp := plain(ipv4{to: farIP, protocol: 6, payload: segment}).Data
	udp := plain(ipv4{to: farIP, payload: udpTo(2, 3000)}).Data
	for _, h := range []vnet.Header{
		{Flags: 1, GSOType: 1, CsumStart: 34, CsumOffset: 16},                   // segments of 0 bytes
		{Flags: 1, GSOType: 1, GSOSize: 1, CsumStart: 34, CsumOffset: 16},       // of 1 byte
		{Flags: 1, GSOType: 1, GSOSize: 1410, CsumStart: 34, CsumOffset: 16},    // of the MTU
		{Flags: 1, GSOType: 1, GSOSize: 1411, CsumStart: 34, CsumOffset: 16},    // one byte more
		{Flags: 1, GSOType: 1, GSOSize: 65535, CsumStart: 34, CsumOffset: 16},   // above the payload
		{Flags: 1, GSOType: 0x81, GSOSize: 1400, CsumStart: 34, CsumOffset: 16}, // with ECN
		{Flags: 1, GSOType: 1, HdrLen: 20, GSOSize: 1400, CsumStart: 34, CsumOffset: 16},
		{Flags: 1, GSOType: 77, GSOSize: 1400, CsumStart: 34, CsumOffset: 16},
		{Flags: 1, GSOType: 4, GSOSize: 1400, CsumStart: 34, CsumOffset: 16},
		{Flags: 1, GSOType: 5, GSOSize: 1400, CsumStart: 34, CsumOffset: 6},
		{Flags: 1, GSOType: 3, GSOSize: 1480, CsumStart: 34, CsumOffset: 6}, // of fragments
		{Flags: 1, GSOType: 0x85, GSOSize: 1400, CsumStart: 34, CsumOffset: 6},
		{Flags: 0, GSOType: 1, GSOSize: 1400}, {Flags: 2}, {Flags: 3, CsumStart: 34, CsumOffset: 16}, {Flags: 4}, {GSOSize: 3, HdrLen: 5},
		{Flags: 1, CsumStart: 34, CsumOffset: 5}, {Flags: 1, CsumStart: 34, CsumOffset: 6}, {Flags: 1, CsumStart: 33, CsumOffset: 17},
		{Flags: 1, CsumStart: 35, CsumOffset: 15}, {Flags: 1, GSOType: 1, GSOSize: 1400, CsumStart: 35, CsumOffset: 15}, {Flags: 1, CsumStart: 26},
		{Flags: 1, CsumStart: 0xfffe, CsumOffset: 0xfffe}, {Flags: 1, CsumStart: 3052, CsumOffset: 0}, {Flags: 1, CsumStart: 3053, CsumOffset: 0},
	} {
		frames = append(frames, vswitch.Frame{Offload: h, Data: tcp}, vswitch.Frame{Offload: h, Data: udp})
	}
	return frames
}

// tunnelled returns frames to segment within VXLAN, and a datagram over IPv6 to be cut into fragments.
func tunnelled() (frames []vswitch.Frame) {
	inner := plain(ipv4{to: farIP, protocol: 6, payload: segment}).Data
	putHeaderSum(inner)
	outer := plain(ipv4{to: farIP, flags: 0x4000, payload: udpTo(4789, 8+len(inner))})
	copy(outer.Data[50:], inner)
	for _, h := range []vnet.Header{
		{Flags: 1, GSOType: 1, GSOSize: 1300, CsumStart: 84, CsumOffset: 16},
		{Flags: 1, GSOType: 0x81, GSOSize: 1360, CsumStart: 84, CsumOffset: 16}, // of the MTU
		{Flags: 1, GSOType: 0x21, GSOSize: 1361, CsumStart: 84, CsumOffset: 16}, // one byte more
		{Flags: 1, GSOType: 0x41, GSOSize: 1300, CsumStart: 84, CsumOffset: 16}, // another version
		{Flags: 1, GSOType: 5, GSOSize: 1300, CsumStart: 84, CsumOffset: 6},     // datagrams
		{Flags: 1, GSOType: 1, GSOSize: 1300, CsumStart: 84, CsumOffset: 12},
		{Flags: 1, GSOType: 1, GSOSize: 1300, CsumStart: 88, CsumOffset: 16},
	} {
		frames = append(frames, vswitch.Frame{Offload: h, Data: outer.Data})
	}
	longer := plain(ipv4{to: farIP, flags: 0x4000, payload: udpTo(4789, 8+len(inner)+3)}) // with bytes behind the inner packet
	copy(longer.Data[50:], inner)
	longer.Offload = frames[0].Offload
	frames = append(frames, longer)
	datagram := v6(17, string(udpTo(2, 3000)))
	datagram.Offload = vnet.Header{Flags: 1, GSOType: 3, GSOSize: 1400, CsumStart: 54, CsumOffset: 6}
	return append(frames, datagram)
}
