package vnet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// The fragments of a datagram reassemble to the datagram with its checksum, whatever the padding and the options.
func TestCutDatagram(t *testing.T) {
	for _, p := range []packet{
		{protocol: udp, payload: 60000}, {protocol: udp, payload: 5000, padding: 7}, {protocol: udp, payload: 3001, tags: oneTag},
		{v6: true, protocol: udp, payload: 60000}, {v6: true, protocol: udp, payload: 1473, padding: 7}, {v6: true, protocol: udp, payload: 1470, padding: 60}, {v6: true, protocol: udp, payload: 544, tags: twoTags},
		{protocol: udp, payload: 4000, options: routerAlert}, {protocol: udp, payload: 3, padding: 9}, {protocol: udp, payload: 2952, fragment: df},
	} {
		for _, size := range []uint16{1480, 1487, 552, 65528} {
			t.Run(fmt.Sprintf("%d of %d", size, p.payload), func(t *testing.T) {
				h := p.gso(size)
				h.GSOType = vnet.GSOUDP
				if !vnet.Check(&h, p.frame()) {
					t.Fatalf("%+v is rejected", h)
				}
				headers := p.transport()
				if p.v6 {
					headers += 8
				}
				if h.GSOSize != size&^7 || int(h.HdrLen) != headers {
					t.Fatalf("the header becomes %+v", h)
				}
				checkFragments(t, h, p.frame())
			})
		}
	}
}

func TestCheckDatagram(t *testing.T) {
	for _, test := range []struct {
		name string
		p    packet
		size uint16
		want bool
	}{
		{"a datagram", packet{protocol: udp, payload: 5000}, 1480, true},
		{"fragments of less than eight bytes", packet{protocol: udp, payload: 20}, 7, false},
		{"a fragment", packet{protocol: udp, payload: 5000, fragment: 0x2000}, 1480, false},
		{"TCP", packet{protocol: tcp, payload: 5000}, 1480, false},
		{"IPv6", packet{v6: true, protocol: udp, payload: 5000}, 1480, true},
		{"IPv6 with an extension", packet{v6: true, protocol: udp, extensions: hopByHop, payload: 5000}, 1480, false},
		{"1024 fragments", packet{protocol: udp, payload: 1024*8 - 8}, 8, true},
		{"1025 fragments", packet{protocol: udp, payload: 1024*8 - 7}, 8, false},
		{"1025 fragments with those of the padding", packet{protocol: udp, payload: 1024*8 - 9, padding: 9}, 8, false},
	} {
		h := test.p.gso(test.size)
		h.GSOType = vnet.GSOUDP
		if got := vnet.Check(&h, test.p.frame()); got != test.want {
			t.Errorf("%s: Check reports %t", test.name, got)
		}
	}
}

// checkFragments cuts a frame with GSOUDP and reassembles it as a receiver does (RFC 791, section 3.2).
func checkFragments(t *testing.T, h vnet.Header, frame []byte) {
	t.Helper()
	network := 14 + len(tags(frame))
	if frame[network] == 0x60|frame[network]&15 {
		checkFragmentsV6(t, h, frame, network)
		return
	}
	transport, end := int(h.HdrLen), network+int(binary.BigEndian.Uint16(frame[network+2:]))
	before := bytes.Clone(frame)
	var datagram []byte
	segments, dst := vnet.Cut(h, frame), make([]byte, vnet.WireLen(h, frame))
	for more := true; more; {
		n := segments.Next(dst)
		ip := dst[network:max(n, network)]
		if n <= transport || !bytes.Equal(dst[:network], frame[:network]) || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) {
			t.Fatalf("a fragment of %d bytes has other headers or another length", n)
		}
		if slowSum(ip[:transport-network]) != 0xffff || !bytes.Equal(ip[4:6], frame[network+4:][:2]) {
			t.Fatal("a fragment has a wrong header checksum or another identification")
		}
		field := binary.BigEndian.Uint16(ip[6:])
		if more = field&0x2000 != 0; int(field&^0x2000)*8 != len(datagram) || more && n-transport != int(h.GSOSize) {
			t.Fatalf("a fragment of %d bytes behind %d has the field %#04x", n-transport, len(datagram), field)
		}
		datagram = append(datagram, dst[transport:n]...)
	}
	if !segments.Done() || segments.Next(dst) != 0 || !bytes.Equal(frame, before) {
		t.Fatal("there is more behind the last fragment, or the frame changed")
	}
	pseudo := append(bytes.Clone(frame[network+12:network+20]), 0, udp, byte(len(datagram)>>8), byte(len(datagram)))
	if slowSum(append(pseudo, datagram...)) != 0xffff || datagram[6] == 0 && datagram[7] == 0 {
		t.Fatalf("the datagram has the checksum %x", datagram[6:8])
	}
	copy(datagram[6:8], frame[transport+6:])
	if !bytes.Equal(datagram, frame[transport:end]) {
		t.Fatal("another datagram is reassembled")
	}
}

// checkFragmentsV6 does the same over IPv6 (RFC 8200, section 4.5).
func checkFragmentsV6(t *testing.T, h vnet.Header, frame []byte, network int) {
	t.Helper()
	end, before := network+40+int(binary.BigEndian.Uint16(frame[network+4:])), bytes.Clone(frame)
	var datagram, id []byte
	segments, dst := vnet.Cut(h, frame), make([]byte, vnet.WireLen(h, frame))
	for more := true; more; {
		n := segments.Next(dst)
		if n <= network+40 || n > vnet.WireLen(h, frame) {
			t.Fatalf("a fragment has %d bytes", n)
		}
		ip := dst[network:n]
		same := bytes.Clone(frame[:network+40])
		if len(datagram) == 0 && ip[6] == udp { // not a fragment
			if datagram, more = dst[network+40:end], false; len(datagram) > int(h.GSOSize) || n != end || !bytes.Equal(dst[:network+40], same) {
				t.Fatalf("a packet of %d bytes is not cut, or has other headers", n)
			}
			continue
		}
		binary.BigEndian.PutUint16(same[network+4:], uint16(len(ip)-40))
		same[network+6] = 44
		if !bytes.Equal(dst[:network+40], same) || ip[40] != udp || ip[41] != 0 || len(datagram) > 0 && !bytes.Equal(ip[44:48], id) {
			t.Fatalf("a fragment has the headers %x", ip[:48])
		}
		id = bytes.Clone(ip[44:48])
		field := binary.BigEndian.Uint16(ip[42:])
		if more = field&1 != 0; int(field&^7) != len(datagram) || field&6 != 0 || more && len(ip)-48 != int(h.GSOSize) {
			t.Fatalf("a fragment of %d bytes behind %d has the field %#04x", len(ip)-48, len(datagram), field)
		}
		datagram = append(datagram, ip[48:]...)
	}
	if !segments.Done() || segments.Next(dst) != 0 || !bytes.Equal(frame, before) {
		t.Fatal("there is more behind the last fragment, or the frame changed")
	}
	pseudo := append(bytes.Clone(frame[network+8:network+40]), 0, udp, byte(len(datagram)>>8), byte(len(datagram)))
	if slowSum(append(pseudo, datagram...)) != 0xffff || datagram[6] == 0 && datagram[7] == 0 {
		t.Fatalf("the datagram has the checksum %x", datagram[6:8])
	}
	copy(datagram[6:8], frame[network+46:])
	if !bytes.Equal(datagram, frame[network+40:end]) {
		t.Fatal("another datagram is reassembled")
	}
}

// Fragments of different datagrams have different identifications, and those of equal ones the same.
func TestIdentificationOfFragments(t *testing.T) {
	seen := map[string]bool{}
	for i := range 256 {
		h, frame := udp6.gso(1000), udp6.frame()
		h.GSOType = vnet.GSOUDP
		frame[len(frame)-1] = byte(i)
		for _, piece := range segment(t, h, frame) {
			seen[string(piece[58:62])] = true
		}
	}
	if len(seen) != 256 {
		t.Errorf("256 datagrams have %d identifications", len(seen))
	}
}

// tags returns the VLAN tags of a frame.
func tags(frame []byte) []byte {
	n := 0
	for n < 8 && (frame[12+n] == 0x81 && frame[13+n] == 0 || frame[12+n] == 0x88 && frame[13+n] == 0xa8) {
		n += 4
	}
	return frame[12 : 12+n]
}

// Packets that a kernel has merged with their own checksums become a frame to segment; other frames stay as they are.
func TestReopen(t *testing.T) {
	for _, p := range []packet{tcp4, tcp6, udp4, udp6, tcp6Routed, {protocol: udp, payload: 3000, padding: 4, tags: oneTag}} {
		want, h := p.frame(), p.gso(1000)
		frame := bytes.Clone(want)
		frame[p.transport()+int(h.CsumOffset)] ^= 0x55
		got := vnet.Header{Flags: vnet.FlagDataValid, GSOType: h.GSOType, GSOSize: h.GSOSize, HdrLen: h.HdrLen}
		vnet.Reopen(&got, frame)
		if got != h || !bytes.Equal(frame, want) {
			t.Errorf("%+v becomes %+v, want %+v; same bytes: %t", p, got, h, bytes.Equal(frame, want))
		}
	}
	short := packet{protocol: tcp}.frame()
	binary.BigEndian.PutUint16(short[16:], 37)
	for name, test := range map[string]struct {
		h     vnet.Header
		frame []byte
	}{
		"nothing to segment":    {vnet.Header{Flags: vnet.FlagDataValid}, tcp4.frame()},
		"a checksum not valid":  {vnet.Header{GSOType: vnet.GSOTCPv4, GSOSize: 9}, tcp4.frame()},
		"a checksum to be done": {tcp4.gso(9), tcp4.frame()},
		"no transport header":   {vnet.Header{Flags: vnet.FlagDataValid, GSOType: vnet.GSOTCPv4, GSOSize: 9}, short},
		"another protocol":      {vnet.Header{Flags: vnet.FlagDataValid, GSOType: vnet.GSOTCPv4, GSOSize: 9}, icmp4.frame()},
		"no IP header":          {vnet.Header{Flags: vnet.FlagDataValid, GSOType: vnet.GSOTCPv4, GSOSize: 9}, tcp4.frame()[:20]},
	} {
		h, frame := test.h, bytes.Clone(test.frame)
		if vnet.Reopen(&h, frame); h != test.h || !bytes.Equal(frame, test.frame) {
			t.Errorf("%s: the header becomes %+v", name, h)
		}
	}
}
