package vnet_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

func ip16(s string) [16]byte { return netip.MustParseAddr(s).As16() }

// solicitation returns a valid neighbour solicitation.
func solicitation() []byte {
	b := make([]byte, vnet.DiscoveryLen)
	d := vnet.Discovery{Type: vnet.NeighbourSolicitation, Target: ip16("fd00::1:2345"), MAC: [6]byte{2, 0, 0, 0, 0, 1}}
	d.Put(b, ip16("fe80::1"), vnet.SolicitedNode(ip16("fd00::1:2345")))
	return b
}

// What Put writes, Parse reads; the bytes are those of RFC 4861, sections 4.3 and 4.4.
func TestDiscovery(t *testing.T) {
	for _, d := range []vnet.Discovery{
		{Type: vnet.NeighbourSolicitation, Target: ip16("fd00::1:2345"), MAC: [6]byte{2, 0, 0, 0, 0, 1}},
		{Type: vnet.NeighbourAdvertisement, Flags: vnet.DiscoveryRouter | vnet.DiscoverySolicited, Target: ip16("fe80::1"), MAC: [6]byte{2, 0, 0, 0, 0, 2}},
	} {
		b := bytes.Repeat([]byte{0xff}, vnet.DiscoveryLen)
		d.Put(b, ip16("fd00::7"), ip16("fd00::8"))
		if got, ok := vnet.ParseDiscovery(b); got != d || !ok {
			t.Errorf("%+v, %v; want %+v", got, ok, d)
		}
	}
	want := []byte{0x60, 0, 0, 0, 0, 32, 58, 255}
	if b := solicitation(); !bytes.Equal(b[:8], want) || b[40] != 135 || b[64] != 1 || b[65] != 1 {
		t.Errorf("% x", b)
	}
	if got, want := vnet.SolicitedNode(ip16("fd00::1:2345")), ip16("ff02::1:ff01:2345"); got != want {
		t.Errorf("the group is %v, want %v", got, want)
	}
}

// A message with one fault is none.
func TestDiscoveryRefuses(t *testing.T) {
	for name, spoil := range map[string]func(b []byte) []byte{
		"hop limit":              func(b []byte) []byte { b[7] = 254; return b },
		"code":                   func(b []byte) []byte { b[41], b[43] = 1, b[43]-1; return b },
		"checksum":               func(b []byte) []byte { b[42]++; return b },
		"a group as the target":  func(b []byte) []byte { b[48] = 0xff; return fix(b) },
		"no length of an option": func(b []byte) []byte { b[65] = 0; return fix(b) },
		"an option too long":     func(b []byte) []byte { b[65] = 2; return fix(b) },
		"half an option":         func(b []byte) []byte { b = b[:65]; b[5] = 25; return fix(b) },
		"half a target":          func(b []byte) []byte { b = b[:60]; b[5] = 20; return fix(b) },
		"truncated":              func(b []byte) []byte { return b[:70] },
		"another type":           func(b []byte) []byte { b[40] = 134; return fix(b) },
		"no source, but a MAC":   func(b []byte) []byte { clear(b[8:24]); return fix(b) },
		"solicited, to a group":  func(b []byte) []byte { b[40], b[44] = 136, 0x40; return fix(b) },
		"an extension header":    func(b []byte) []byte { b[6], b[40], b[41] = 60, 58, 0; return b },
	} {
		b := solicitation()
		if _, ok := vnet.ParseDiscovery(b); !ok {
			t.Fatal("the valid message is refused")
		}
		if d, ok := vnet.ParseDiscovery(spoil(b)); ok {
			t.Errorf("%s: accepted as %+v", name, d)
		}
	}
}

// fix makes the checksum right.
func fix(b []byte) []byte {
	vnet.PutICMPv6(b, b[7], [16]byte(b[8:]), [16]byte(b[24:]))
	return b
}

// The headers of a packet are found behind extension headers, of which there may be eight.
func TestIPv6Parse(t *testing.T) {
	packet := func(first uint8, headers ...byte) []byte {
		b := append(make([]byte, 40), headers...)
		b[0], b[5], b[6] = 0x60, byte(len(headers)), first
		return b
	}
	chain := func(n int) (b []byte) {
		for i := range n {
			next := byte(60)
			if i == n-1 {
				next = 17
			}
			b = append(b, next, 0, 1, 4, 0, 0, 0, 0)
		}
		return append(b, make([]byte, 8)...)
	}
	for name, test := range map[string]struct {
		packet []byte
		want   vnet.IPv6
		ok     bool
	}{
		"none":               {packet(17, make([]byte, 8)...), vnet.IPv6{Protocol: 17, Transport: 40, End: 48}, true},
		"padding":            {append(packet(17, make([]byte, 8)...), 0, 0), vnet.IPv6{Protocol: 17, Transport: 40, End: 48}, true},
		"eight":              {packet(60, chain(8)...), vnet.IPv6{Protocol: 17, Transport: 104, End: 112}, true},
		"nine":               {packet(60, chain(9)...), vnet.IPv6{}, false},
		"a later fragment":   {packet(44, 17, 0, 0, 0x10, 0, 0, 0, 1, 9), vnet.IPv6{Protocol: 17, Transport: 48, End: 49, Offset: 16, Fragment: true}, true},
		"an atomic fragment": {packet(44, 17, 0, 0, 0, 0, 0, 0, 1, 9), vnet.IPv6{Protocol: 17, Transport: 48, End: 49}, true},
		"a hop left":         {packet(43, 17, 0, 0, 1, 0, 0, 0, 0), vnet.IPv6{Protocol: 17, Transport: 48, End: 48, Routed: true}, true},
		"no hop left":        {packet(43, 17, 0, 0, 0, 0, 0, 0, 0), vnet.IPv6{Protocol: 17, Transport: 48, End: 48}, true},
		"half a header":      {packet(60, 17, 0, 1, 4), vnet.IPv6{}, false},
		"beyond the end":     {packet(60, 17, 1, 1, 4, 0, 0, 0, 0), vnet.IPv6{}, false},
		"IPv4":               {make([]byte, 60), vnet.IPv6{}, false},
		"short":              {make([]byte, 39), vnet.IPv6{}, false},
	} {
		var h vnet.IPv6
		if ok := h.Parse(test.packet); ok != test.ok || ok && h != test.want {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, h, ok, test.want, test.ok)
		}
	}
	long := packet(17, make([]byte, 8)...)
	long[5] = 9
	var h vnet.IPv6
	if !h.Parse(long) || h.End != 0 {
		t.Errorf("a wrong length: %+v", h)
	}
}

// FuzzDiscovery checks that a message that is accepted is the same when it is written and read again.
func FuzzDiscovery(f *testing.F) {
	f.Add(solicitation())
	advertisement := solicitation()
	advertisement[40] = 136
	f.Add(fix(advertisement))
	f.Add(fix(append(solicitation()[:40], 133, 0, 0, 0, 0, 0, 0, 0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h vnet.IPv6
		if h.Parse(b) && h.End != 0 && (h.Transport < 40 || h.Transport > h.End || h.End > len(b)) {
			t.Fatalf("%+v of %d bytes", h, len(b))
		}
		if len(b) >= 44 && len(b) < 1500 && b[0]>>4 == 6 {
			b[5] = byte(len(b) - 40)
			b[4] = byte((len(b) - 40) >> 8)
			fix(b) // otherwise few checksums are right
		}
		d, ok := vnet.ParseDiscovery(b)
		if !ok || d.Type == vnet.RouterSolicitation || d.MAC == [6]byte{} {
			return
		}
		again := make([]byte, vnet.DiscoveryLen)
		d.Put(again, [16]byte(b[8:]), [16]byte(b[24:]))
		if got, ok := vnet.ParseDiscovery(again); !ok || got != d {
			t.Fatalf("%+v is read as %+v, %v", d, got, ok)
		}
	})
}
