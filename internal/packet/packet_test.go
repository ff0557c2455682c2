package packet

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/vnet"
)

var (
	station = [6]byte{2, 1}
	router  = [6]byte{2, 9}
	host    = lookup.Key4([]byte{10, 0, 0, 1})
	other   = lookup.Key4([]byte{10, 0, 0, 2})
)

// Answer makes the reply of a request: the addresses change places, and the answer names the MAC that was asked for.
func TestAnswer(t *testing.T) {
	frame := make([]byte, EthernetLen+ARPLen)
	WriteARP(frame, [6]byte{255, 255, 255, 255, 255, 255}, ARPRequest, station, host, [6]byte{}, other)
	ParseARP(frame).Answer(frame, router)
	want := make([]byte, len(frame))
	WriteARP(want, station, ARPReply, router, other, station, host)
	if !bytes.Equal(frame, want) {
		t.Errorf("reply %x, want %x", frame, want)
	}
	for name, change := range map[string]func(){
		"of other hardware": func() { frame[EthernetLen+1] = 6 },
		"of IPv6":           func() { binary.BigEndian.PutUint16(frame[EthernetLen+2:], TypeIPv6) },
		"with longer MACs":  func() { frame[EthernetLen+4] = 8 },
		"cut short":         func() { frame = frame[:len(frame)-1] },
	} {
		frame = bytes.Clone(want)
		if change(); ParseARP(frame) != nil {
			t.Errorf("ARP %s is accepted", name)
		}
	}
}

// tcp4 returns a SYN with an MSS behind so many options of one byte.
func tcp4(mss uint16, noops int) []byte {
	frame := make([]byte, EthernetLen+IPv4Len+TCPLen+8)
	SetHeader(frame, router, station, TypeIPv4)
	ip := frame[EthernetLen:]
	ip[0], ip[3], ip[8], ip[9] = 0x45, byte(len(ip)), 64, ProtocolTCP
	host.Put4(ip[12:])
	other.Put4(ip[16:])
	binary.BigEndian.PutUint16(ip[10:], vnet.Checksum(ip[:IPv4Len], 0))
	tcp := ip[IPv4Len:]
	tcp[12], tcp[13] = 7<<4, tcpSYN
	for i := range 4 {
		tcp[TCPLen+i], tcp[TCPLen+4+i] = optionNoop, optionNoop
	}
	tcp[TCPLen+noops], tcp[TCPLen+noops+1] = optionMSS, mssOptionLen
	binary.BigEndian.PutUint16(tcp[TCPLen+noops+2:], mss)
	binary.BigEndian.PutUint16(tcp[16:], vnet.Checksum(tcp, vnet.PseudoSum(ip[12:16], ip[16:20], ProtocolTCP, len(tcp))))
	return frame
}

// ClampMSS lowers the value at any offset and keeps the checksum right; it raises none.
func TestClampMSS(t *testing.T) {
	for noops := range 4 {
		for mss, want := range map[uint16]uint16{1460: 1400, 1400: 1400, 536: 536} {
			frame := tcp4(mss, noops)
			var p Packet
			if !p.Parse(frame) {
				t.Fatal("the packet is not valid")
			}
			p.ClampMSS(&vnet.Header{}, frame, 1400)
			if expected := tcp4(want, noops); !bytes.Equal(frame, expected) {
				t.Errorf("MSS %d behind %d options: %x, want %x", mss, noops, frame, expected)
			}
		}
	}
}
