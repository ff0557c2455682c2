package fuzz

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// ipv4 is a packet from the pod address. The zero values of the other fields mean UDP and correct lengths.
type ipv4 struct {
	to       [4]byte
	protocol byte
	flags    int
	options  string
	payload  []byte
	ihl      int // in units of 4 bytes
	total    int
}

// sixty is a copied option that makes the header 60 bytes long: a router alert with zeros.
var sixty = "\x94\x28" + strings.Repeat("\x00", 38)

func (p ipv4) bytes() []byte {
	if p.protocol == 0 {
		p.protocol = 17
	}
	if p.ihl == 0 {
		p.ihl = 5 + len(p.options)/4
	}
	if p.total == 0 {
		p.total = 20 + len(p.options) + len(p.payload)
	}
	b := []byte{byte(0x40 | p.ihl), 0}
	b = binary.BigEndian.AppendUint16(b, uint16(p.total))
	b = append(b, 0, 7, byte(p.flags>>8), byte(p.flags), 64, p.protocol, 0, 0)
	b = append(append(b, podIP[:]...), p.to[:]...)
	return append(append(b, p.options...), p.payload...)
}

// udpTo returns a datagram with n bytes of data.
func udpTo(port, n int) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 1}, uint16(port))
	b = binary.BigEndian.AppendUint16(b, uint16(8+n))
	return append(b, make([]byte, 2+n)...)
}

// tcpHeader returns a header from port 1000 to 80.
func tcpHeader(flags byte, options string) []byte {
	b := []byte{3, 0xe8, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, byte(20+len(options)) << 2, flags, 0x20, 0, 0x12, 0x34, 0, 0}
	return append(b, options...)
}

// hostARP returns a host's ARP request for the pod address, or its reply.
func hostARP(operation byte, mac vswitch.MAC, ip [4]byte) vswitch.Frame {
	b := append(ethernet(wireMAC, mac, 0x0806), 0, 1, 8, 0, 6, 4, 0, operation)
	b = append(append(append(b, mac[:]...), ip[:]...), wireMAC[:]...)
	return vswitch.Frame{Data: append(b, podIP[:]...)}
}

// giveUp advances the time until all questions have ended.
func (w *writer) giveUp() {
	for range 4 {
		w.wait(time.Second)
		w.tick()
	}
}

// fill writes ARP requests or replies of more hosts than the neighbour table has room for.
func (w *writer) fill(what int) {
	for first := 0; first < 1100; first += 100 {
		w.scan(what, 100, first)
	}
}

// handOver changes the holder and sends frames from every party, and a little later from the guest again.
func (w *writer) handOver(h vswitch.Holder) {
	w.gateway()
	for _, mac := range []vswitch.MAC{noMAC, otherMAC, guestMAC} {
		w.hand(h, mac)
		w.exchange()
		w.wait(99 * time.Millisecond)
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: farIP, payload: udpTo(2, 9)}))
		w.wait(time.Second)
	}
}

// evade sends frames that could become forbidden ones after checksum completion, reassembly or truncation, or by a quote: denied destinations and
// kept ports. It also sends forbidden sources from the wire.
func (w *writer) evade() {
	w.gateway()
	denied, metadata := [4]byte{10, 9, 1, 2}, [4]byte{169, 254, 169, 254}
	segment := func(port int, flags byte) []byte {
		b := tcpHeader(flags, "")
		binary.BigEndian.PutUint16(b[2:], uint16(port))
		return b
	}
	quote := func(flags int) []byte {
		kept := ipv4{to: podIP, protocol: 6, flags: flags, payload: segment(8080, 0x02)}.bytes()
		copy(kept[12:], farIP[:])
		return append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, kept...)
	}
	for _, f := range []vswitch.Frame{
		undone(ipv4{to: denied, protocol: 6, payload: segment(22623, 0x10)}, 12, 0, 0),
		plain(ipv4{to: denied, protocol: 6, flags: 0x2000, payload: segment(22623, 0x10)}),
		plain(ipv4{to: denied, protocol: 6, flags: 1, payload: []byte{0, 0, 0, 0, 0x50, 2, 0, 0}}),
		plain(ipv4{to: denied, protocol: 6, flags: 2, payload: []byte{0, 0, 0, 0, 0x50, 2, 0, 0}}),
		plain(ipv4{to: metadata, protocol: 6, payload: segment(53, 0x02)}),
		plain(ipv4{to: metadata, protocol: 6, payload: segment(53, 0x10)}),
		plain(ipv4{to: metadata, protocol: 6, payload: segment(80, 0x10)}),
		plain(ipv4{to: farIP, protocol: 1, payload: quote(0)}),
		plain(ipv4{to: farIP, protocol: 1, payload: quote(1)}),
		plain(ipv4{to: farIP, protocol: 1, flags: 0x2000, payload: quote(0)}),
		plain(ipv4{to: farIP, protocol: 1, payload: quote(0)[:24]}),
		undone(ipv4{to: farIP, protocol: 1, payload: quote(0)}, 2, 0, 0),
		undone(ipv4{to: farIP, protocol: 1, payload: quote(0)}, 30, 0, 0),
		undone(ipv4{to: farIP, protocol: 6, payload: append(segment(80, 0x10), make([]byte, 2048)...)}, 16, 1, 2),
		undone(ipv4{to: farIP, protocol: 6, payload: append(segment(80, 0x10), make([]byte, 2049)...)}, 16, 1, 2),
		undone(ipv4{to: farIP, payload: udpTo(9, 256)}, 6, 5, 2),
		undone(ipv4{to: farIP, payload: udpTo(9, 257)}, 6, 5, 2),
	} {
		w.raw(vswitch.PortGuest, 1, f)
	}
	for _, source := range [][4]byte{{169, 254, 75, 1}, {127, 0, 0, 1}, {0, 0, 0, 0}, {224, 0, 0, 1}, {10, 244, 1, 255}, {255, 255, 255, 255}} {
		w.raw(vswitch.PortUplink, 1, inbound(plain(ipv4{to: source, payload: udpTo(2, 9)})))
	}
}

// relay sends DHCP messages with port 67 at both ends: requests and replies that name one relay, in both directions.
func (w *writer) relay() {
	w.gateway()
	for _, op := range []byte{1, 2} {
		datagram := append([]byte{0, 67, 0, 67, 0, 36, 0, 0, op}, make([]byte, 27)...)
		copy(datagram[32:], farIP[:])
		for _, p := range []ipv4{
			{to: farIP, payload: datagram},
			{to: peerIP, payload: datagram},
			{to: farIP, payload: datagram, flags: 0x2000},
			{to: [4]byte{255, 255, 255, 255}, payload: datagram},
		} {
			w.raw(vswitch.PortGuest, 1, plain(p))
			w.raw(vswitch.PortUplink, 1, inbound(plain(p)))
		}
		w.raw(vswitch.PortGuest, 1, undone(ipv4{to: farIP, payload: datagram}, 6, 0, 0))
		w.raw(vswitch.PortGuest, 1, undone(ipv4{to: farIP, payload: datagram}, 32, 0, 0))
	}
}

// exchange sends one frame of each kind in both directions: ARP, echo, a connection, a kept port, DHCP and an ICMP error.
func (w *writer) exchange() {
	arp := append(ethernet(vswitch.Broadcast, guestMAC, 0x0806), 0, 1, 8, 0, 6, 4, 0, 1)
	arp = append(append(arp, guestMAC[:]...), 10, 244, 1, 7, 0, 0, 0, 0, 0, 0)
	for _, target := range [][4]byte{podIP, farIP} {
		w.raw(vswitch.PortGuest, 1, vswitch.Frame{Data: append(append([]byte{}, arp...), target[:]...)})
	}
	kept := tcpHeader(0x02, "\x01\x02\x04\x23\x28\x00\x00\x00")
	copy(kept, []byte{0x1f, 0x90, 0x1f, 0x90})
	quote := append([]byte{3, 4, 0, 0, 0, 0, 5, 0xaa}, ipv4{to: farIP, protocol: 6, payload: kept}.bytes()...)
	for _, p := range []ipv4{
		{to: farIP, payload: udpTo(2, 9)},
		{to: farIP, protocol: 1, payload: append([]byte{8}, make([]byte, 20)...)},
		{to: farIP, protocol: 1, payload: append([]byte{0}, make([]byte, 20)...)},
		{to: farIP, protocol: 1, flags: 3, payload: make([]byte, 20)},
		{to: farIP, protocol: 6, payload: tcpHeader(0x02, "\x02\x04\x23\x28")},
		{to: farIP, protocol: 6, payload: kept},
		{to: farIP, protocol: 6, flags: 3, payload: kept},
		{to: farIP, protocol: 1, payload: quote},
		{to: [4]byte{255, 255, 255, 255}, payload: udpTo(67, 300)},
		{to: farIP, payload: udpTo(68, 300)},
		{to: [4]byte{224, 0, 0, 251}, payload: udpTo(5353, 30)},
		{to: [4]byte{10, 244, 1, 255}, payload: udpTo(9, 30)},
		{to: [4]byte{169, 254, 75, 1}, payload: udpTo(53, 30)},
	} {
		w.raw(vswitch.PortGuest, 1, plain(p))
		w.raw(vswitch.PortUplink, 1, inbound(plain(p)))
		w.raw(vswitch.PortPod, 1, plain(p))
	}
	w.raw(vswitch.PortServer, 1, vswitch.Frame{Data: append(ethernet(noMAC, routerMAC, 0x0800), udpPacket(podIP, podIP)...)})
	w.raw(vswitch.PortUplink, 1, hostARP(1, gwMAC, [4]byte{10, 244, 1, 1}))
}
