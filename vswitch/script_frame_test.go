package vswitch_test

import (
	"encoding/binary"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// Encoding of the notation for frames in testdata/README.md. It is slow and simple and shares no code with the switch's parsers, because it
// tests them.

// A spec has the values of a frame before lengths and checksums are computed.
type spec struct {
	head    []byte // addresses, tags and ethertype
	body    []byte // ARP, or the bytes behind another ethertype
	ip      *ipSpec
	size    int // of the whole frame, when above 0: zeros are appended
	cut     int // length of the truncated frame in bytes; negative: not truncated
	offload *vnet.Header
	partial bool // the checksum is left undone
	gso     vnet.Header
}

type ipSpec struct {
	source, target           [4]byte
	tos, id, ttl, proto      int
	flags, offset            int
	options                  []byte
	version, ihl, total, sum int    // -1: the right one
	header                   []byte // of the transport, with a checksum of 0
	sumAt                    int    // where that stands; -1: nowhere
	pseudo                   bool   // it covers the pseudo-header
	transportSum             int    // -1: the right one
	payload                  []byte
	six                      *ip6Spec // nil: IPv4
	hops                     bool     // the script sets ttl
}

// frame reads a frame up to the end of the line.
func (w *words) frame() vswitch.Frame {
	if w.accept("raw") {
		return vswitch.Frame{Data: w.hex("a frame")}
	}
	s := spec{cut: -1}
	from := w.mac()
	w.expect(">")
	to := w.mac()
	s.head = append(append(s.head, to[:]...), from[:]...)
	w.tags(&s)
	w.content(&s, from, to)
	for w.modifier(&s) {
	}
	if w.err != nil {
		return vswitch.Frame{}
	}
	return s.encode()
}

func (w *words) tags(s *spec) {
	for {
		switch {
		case w.accept("vlan"):
			s.head = binary.BigEndian.AppendUint16(s.head, 0x8100)
		case w.accept("qinq"):
			s.head = binary.BigEndian.AppendUint16(s.head, 0x88a8)
		default:
			return
		}
		s.head = binary.BigEndian.AppendUint16(s.head, uint16(w.number("a VLAN", 0xffff)))
	}
}

func (w *words) content(s *spec, from, to vswitch.MAC) {
	ethertype := 0
	switch word := w.next("the content of the frame"); word {
	case "ip":
		ethertype = 0x0800
		s.ip = w.packet()
	case "ip6":
		ethertype = 0x86dd
		s.ip = w.packet6()
	case "arp":
		ethertype = 0x0806
		s.body = w.arp(from, to)
	case "ipv6":
		ethertype = 0x86dd
	case "lldp":
		ethertype = 0x88cc
	case "rarp":
		ethertype = 0x8035
	case "type":
		ethertype = w.number("an ethertype", 0xffff)
	default:
		w.fail("unknown word %q", word)
	}
	s.head = binary.BigEndian.AppendUint16(s.head, uint16(ethertype))
	if s.ip == nil && w.accept("payload") {
		s.body = append(s.body, w.hex("a payload")...)
	}
}

// modifier reads one word that applies to the whole frame.
func (w *words) modifier(s *spec) bool {
	switch {
	case w.accept("len"):
		s.size = w.number("a length", vswitch.MaxFrame+100)
	case w.accept("cut"):
		s.cut = w.number("a length", vswitch.MaxFrame)
	case w.accept("csum"):
		s.partial = true
	case w.accept("valid"):
		s.gso.Flags |= vnet.FlagDataValid
	case w.accept("ecn"):
		s.gso.GSOType |= vnet.GSOECN
	case w.accept("gso"):
		s.partial = true
		kinds := map[string]uint8{"tcp4": vnet.GSOTCPv4, "tcp6": vnet.GSOTCPv6, "udp": vnet.GSOUDPL4, "fragments": vnet.GSOUDP}
		kind, ok := kinds[w.next("tcp4, tcp6, udp or fragments")]
		if !ok {
			w.fail("unknown kind of gso, want tcp4, tcp6, udp or fragments")
		}
		s.gso.GSOType |= kind
		s.gso.GSOSize = uint16(w.number("a segment size", 0xffff))
	case w.accept("offload"):
		s.offload = &vnet.Header{
			Flags: uint8(w.number("flags", 255)), GSOType: uint8(w.number("a GSO type", 255)),
			HdrLen: uint16(w.number("a header length", 0xffff)), GSOSize: uint16(w.number("a segment size", 0xffff)),
			CsumStart: uint16(w.number("a checksum start", 0xffff)), CsumOffset: uint16(w.number("a checksum offset", 0xffff)),
		}
	default:
		return false
	}
	return true
}

func (s *spec) encode() vswitch.Frame {
	f := vswitch.Frame{Offload: s.gso, Data: append(s.head, s.body...)}
	if s.ip != nil {
		f.Data = append(f.Data, s.ip.encode(s.partial)...)
		if s.partial && s.ip.sumAt >= 0 {
			f.Offload.Flags |= vnet.FlagNeedsChecksum
			f.Offload.CsumStart = uint16(len(s.head) + s.ip.headerLen())
			f.Offload.CsumOffset = uint16(s.ip.sumAt)
		}
		if f.Offload.GSOType != 0 {
			f.Offload.HdrLen = f.Offload.CsumStart + uint16(len(s.ip.header))
			if f.Offload.GSOType == vnet.GSOUDP { // the first fragment has the UDP header as payload
				f.Offload.HdrLen = f.Offload.CsumStart
			}
		}
	}
	if s.size > len(f.Data) {
		f.Data = append(f.Data, make([]byte, s.size-len(f.Data))...)
	}
	if s.cut >= 0 && s.cut < len(f.Data) {
		f.Data = f.Data[:s.cut]
	}
	if s.offload != nil {
		f.Offload = *s.offload
	}
	return f
}

// arp reads a verb with its addresses, and then words that set single fields.
func (w *words) arp(from, to vswitch.MAC) []byte {
	operation, htype, ptype, hlen, plen := 1, 1, 0x0800, 6, 4
	sha, tha := from, vswitch.MAC{}
	spa, tpa := [4]byte{}, [4]byte{}
	switch word := w.next("an ARP verb"); word {
	case "who-has":
		tpa = w.ip().As4()
		w.expect("tell")
		spa = w.ip().As4()
	case "probe":
		tpa = w.ip().As4()
	case "announce":
		tpa = w.ip().As4()
		spa = tpa
	case "reply":
		operation, tha = 2, to
		spa = w.ip().As4()
		w.expect("is-at")
		sha = w.mac()
		w.expect("tell")
		tpa = w.ip().As4()
	default:
		w.fail("unknown word %q, want who-has, probe, announce or reply", word)
	}
	for {
		switch {
		case w.accept("op"):
			operation = w.number("an operation", 0xffff)
		case w.accept("sha"):
			sha = w.mac()
		case w.accept("tha"):
			tha = w.mac()
		case w.accept("htype"):
			htype = w.number("a hardware type", 0xffff)
		case w.accept("ptype"):
			ptype = w.number("a protocol type", 0xffff)
		case w.accept("hlen"):
			hlen = w.number("a hardware length", 255)
		case w.accept("plen"):
			plen = w.number("a protocol length", 255)
		default:
			b := []byte{byte(htype >> 8), byte(htype), byte(ptype >> 8), byte(ptype), byte(hlen), byte(plen),
				byte(operation >> 8), byte(operation)}
			b = append(append(b, sha[:]...), spa[:]...)
			return append(append(b, tha[:]...), tpa[:]...)
		}
	}
}
