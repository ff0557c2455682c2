package oracle

import (
	"bytes"
	"encoding/binary"

	"github.com/podswitch/podswitch/vswitch"
)

const (
	ethernetHeader = 14
	typeIPv4       = 0x0800
	typeARP        = 0x0806
	typeVLAN       = 0x8100 // IEEE 802.1Q
	typeQinQ       = 0x88a8 // IEEE 802.1ad
	typeIPv6       = 0x86dd
)

func target(frame []byte) vswitch.MAC { return vswitch.MAC(frame[:6]) }
func source(frame []byte) vswitch.MAC { return vswitch.MAC(frame[6:12]) }
func kind(frame []byte) uint16        { return word(frame, 12) }

// word returns the 16-bit big-endian number at an offset.
func word(b []byte, at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }

func isTag(ethertype uint16) bool { return ethertype == typeVLAN || ethertype == typeQinQ }

func isGroup(m vswitch.MAC) bool { return m[0]%2 == 1 }

func isNobody(m vswitch.MAC) bool { return m == vswitch.MAC{} }

// isStation reports whether m can be the address of one station.
func isStation(m vswitch.MAC) bool { return !isGroup(m) && !isNobody(m) }

// isReserved reports whether m is one of 01:80:c2:00:00:00 to 01:80:c2:00:00:0f.
func isReserved(m vswitch.MAC) bool {
	return bytes.Equal(m[:5], []byte{0x01, 0x80, 0xc2, 0, 0}) && m[5] <= 0x0f
}

// readdressed returns a copy of a frame with other Ethernet addresses.
func readdressed(f vswitch.Frame, to, from vswitch.MAC) vswitch.Frame {
	f.Data = append(append(append([]byte{}, to[:]...), from[:]...), f.Data[12:]...)
	return f
}

// tags returns the length in bytes of the frame's VLAN tags, at most two.
func tags(frame []byte) int {
	length := 0
	if len(frame) >= 14 && isTag(word(frame, 12)) {
		length += 4
		if len(frame) >= 18 && isTag(word(frame, 16)) {
			length += 4
		}
	}
	return length
}
