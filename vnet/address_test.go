package vnet_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// TestReplaceIPv4 compares the checksums after the replacement of an address with those of the whole packet.
func TestReplaceIPv4(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		protocol, checksumAt, length := uint8(6), 16, 20
		if i%2 == 0 {
			protocol, checksumAt, length = 17, 6, 8
		}
		frame := make([]byte, 14+20+length+r.IntN(4))
		for j := range frame {
			frame[j] = byte(r.Uint32())
		}
		ip := frame[14:]
		segment := ip[20:]
		ip[0], ip[9] = 0x45, protocol
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		pseudo := func() uint32 { return vnet.PseudoSum(ip[12:16], ip[16:20], protocol, len(segment)) }
		complete := func(partial bool) {
			ip[10], ip[11], segment[checksumAt], segment[checksumAt+1] = 0, 0, 0, 0
			binary.BigEndian.PutUint16(ip[10:], vnet.Checksum(ip[:20], 0))
			sum := vnet.Sum(nil, pseudo())
			if !partial {
				if sum = vnet.Checksum(segment, pseudo()); sum == 0 && protocol == 17 {
					sum = 0xffff
				}
			}
			binary.BigEndian.PutUint16(segment[checksumAt:], sum)
		}
		var h vnet.Header
		partial := i%3 == 0
		switch i % 3 {
		case 0:
			h = vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: 14 + 20, CsumOffset: uint16(checksumAt)}
		case 1: // the unfinished one is that of a packet in a tunnel
			h = vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: 14 + 20 + 50, CsumOffset: uint16(checksumAt)}
		}
		complete(partial)
		at := [2]int{14 + 12, 14 + 16}[i%5%2]
		vnet.ReplaceIPv4(h, frame, 14, at, [4]byte{169, 254, 75, byte(i)}, vnet.Transport{Checksum: 14 + 20 + checksumAt, IsUDP: protocol == 17})
		got := append([]byte(nil), frame...)
		complete(partial)
		sums := func(b []byte) (ip, transport uint16) {
			b = b[14:]
			return binary.BigEndian.Uint16(b[10:]) % 0xffff, binary.BigEndian.Uint16(b[20+checksumAt:]) % 0xffff // 0 and 0xffff are one number
		}
		gotIP, gotTransport := sums(got)
		if wantIP, wantTransport := sums(frame); gotIP != wantIP || gotTransport != wantTransport {
			t.Fatalf("packet %d, unfinished %t: %x and %x, want %x and %x", i, partial, gotIP, gotTransport, wantIP, wantTransport)
		}
		if protocol == 17 && got[14+20+checksumAt]|got[14+20+checksumAt+1] == 0 {
			t.Fatalf("packet %d lost its checksum", i)
		}
	}
}

// TestReplaceIPv4WithoutChecksum checks that a datagram without a checksum stays without one.
func TestReplaceIPv4WithoutChecksum(t *testing.T) {
	frame := make([]byte, 14+20+8)
	vnet.ReplaceIPv4(vnet.Header{}, frame, 14, 14+12, [4]byte{1, 2, 3, 4}, vnet.Transport{Checksum: 14 + 20 + 6, IsUDP: true})
	if sum := frame[14+20+6:]; sum[0]|sum[1] != 0 {
		t.Errorf("checksum %x", sum[:2])
	}
}
