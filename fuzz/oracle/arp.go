package oracle

import (
	"encoding/binary"
	"net/netip"

	"github.com/podswitch/podswitch/vswitch"
)

// arp has the fields of an ARP packet for IPv4 over Ethernet (RFC 826).
type arp struct {
	operation            uint16
	senderMAC, targetMAC vswitch.MAC
	senderIP, targetIP   netip.Addr
}

const (
	request    = 1
	reply      = 2
	arpPacket  = 28
	arpRequest = ethernetHeader + arpPacket // length of a frame
)

// readARP parses the ARP packet of a frame. It reports false if the packet is malformed or not for IPv4 over Ethernet.
func readARP(frame []byte) (arp, bool) {
	if len(frame) < ethernetHeader+arpPacket {
		return arp{}, false
	}
	p := frame[ethernetHeader:]
	if word(p, 0) != 1 || word(p, 2) != typeIPv4 || p[4] != 6 || p[5] != 4 {
		return arp{}, false
	}
	return arp{
		operation: word(p, 6),
		senderMAC: vswitch.MAC(p[8:14]), senderIP: address(p[14:18]),
		targetMAC: vswitch.MAC(p[18:24]), targetIP: address(p[24:28]),
	}, true
}

// bytes returns the packet without an Ethernet header.
func (a arp) bytes() []byte {
	b := []byte{0, 1, 8, 0, 6, 4}
	b = binary.BigEndian.AppendUint16(b, a.operation)
	b = append(b, a.senderMAC[:]...)
	b = append(b, a.senderIP.AsSlice()...)
	b = append(b, a.targetMAC[:]...)
	return append(b, a.targetIP.AsSlice()...)
}

// frame returns a payload with an Ethernet header.
func frame(to, from vswitch.MAC, ethertype uint16, payload []byte) []byte {
	b := append(append([]byte{}, to[:]...), from[:]...)
	b = binary.BigEndian.AppendUint16(b, ethertype)
	return append(b, payload...)
}

func address(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }
