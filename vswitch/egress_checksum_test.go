package vswitch

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// TestReplaceAddress compares the checksums after the replacement of an address with those of the whole packet.
func TestReplaceAddress(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		protocol, checksumAt, length := uint8(protocolTCP), offTCPChecksum, tcpLen
		if i%2 == 0 {
			protocol, checksumAt, length = protocolUDP, offUDPChecksum, udpLen
		}
		frame := make([]byte, ethernetLen+ipv4Len+length+r.IntN(4))
		for j := range frame {
			frame[j] = byte(r.Uint32())
		}
		ip := frame[ethernetLen:]
		segment := ip[ipv4Len:]
		ip[0], ip[9] = 0x45, protocol
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		pseudo := func() uint32 { return vnet.PseudoSum(ip[12:16], ip[16:20], protocol, len(segment)) }
		complete := func(partial bool) {
			ip[10], ip[11], segment[checksumAt], segment[checksumAt+1] = 0, 0, 0, 0
			binary.BigEndian.PutUint16(ip[10:], vnet.Checksum(ip[:ipv4Len], 0))
			sum := vnet.Sum(nil, pseudo())
			if !partial {
				if sum = vnet.Checksum(segment, pseudo()); sum == 0 && protocol == protocolUDP {
					sum = 0xffff
				}
			}
			binary.BigEndian.PutUint16(segment[checksumAt:], sum)
		}
		f := &Frame{Data: frame}
		partial := i%3 == 0
		if partial {
			f.Offload.Flags = vnet.FlagNeedsChecksum
		}
		complete(partial)
		p := packet{protocol: protocol, transport: ethernetLen + ipv4Len, end: len(frame)}
		at := [2]int{offIPv4Source, offIPv4Target}[i%5%2]
		p.replaceAddress(f, at, key4([]byte{169, 254, 75, byte(i)}))
		got := append([]byte(nil), frame...)
		complete(partial)
		sums := func(b []byte) (ip, transport uint16) {
			b = b[ethernetLen:]
			return binary.BigEndian.Uint16(b[10:]) % 0xffff, binary.BigEndian.Uint16(b[ipv4Len+checksumAt:]) % 0xffff // 0 and 0xffff are one number
		}
		gotIP, gotTransport := sums(got)
		if wantIP, wantTransport := sums(frame); gotIP != wantIP || gotTransport != wantTransport {
			t.Fatalf("packet %d, unfinished %t: %x and %x, want %x and %x", i, partial, gotIP, gotTransport, wantIP, wantTransport)
		}
		if protocol == protocolUDP && got[ethernetLen+ipv4Len+checksumAt]|got[ethernetLen+ipv4Len+checksumAt+1] == 0 {
			t.Fatalf("packet %d lost its checksum", i)
		}
	}
}

// TestReplaceAddressWithoutChecksum checks that a datagram without a checksum stays without one.
func TestReplaceAddressWithoutChecksum(t *testing.T) {
	frame := make([]byte, ethernetLen+ipv4Len+udpLen)
	p := packet{protocol: protocolUDP, transport: ethernetLen + ipv4Len, end: len(frame)}
	p.replaceAddress(&Frame{Data: frame}, offIPv4Source, key4([]byte{1, 2, 3, 4}))
	if sum := frame[p.transport+offUDPChecksum:]; sum[0]|sum[1] != 0 {
		t.Errorf("checksum %x", sum[:2])
	}
}
