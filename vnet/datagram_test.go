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
		{protocol: udp, payload: 4000, options: routerAlert}, {protocol: udp, payload: 3, padding: 9}, {protocol: udp, payload: 2952, fragment: df},
	} {
		for _, size := range []uint16{1480, 1487, 552, 65528} {
			t.Run(fmt.Sprintf("%d of %d", size, p.payload), func(t *testing.T) {
				h := p.gso(size)
				h.GSOType = vnet.GSOUDP
				if !vnet.Check(&h, p.frame()) {
					t.Fatalf("%+v is rejected", h)
				}
				if h.GSOSize != size&^7 || int(h.HdrLen) != p.transport() {
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
		{"IPv6", packet{v6: true, protocol: udp, payload: 5000}, 1480, false},
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

// tags returns the VLAN tags of a frame.
func tags(frame []byte) []byte {
	n := 0
	for n < 8 && (frame[12+n] == 0x81 && frame[13+n] == 0 || frame[12+n] == 0x88 && frame[13+n] == 0xa8) {
		n += 4
	}
	return frame[12 : 12+n]
}
