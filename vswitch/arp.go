package vswitch

import (
	"encoding/binary"

	"github.com/podswitch/podswitch/internal/lookup"
)

// ARP operations (RFC 826).
const (
	arpRequest = 1
	arpReply   = 2
)

// An arpPacket is a view of an ARP packet for IPv4 over Ethernet (RFC 826) within its frame.
type arpPacket []byte

// parseARP returns the ARP packet of a frame. It returns nil if the packet is malformed or maps other addresses than IPv4 to Ethernet.
func parseARP(frame []byte) arpPacket {
	if len(frame) < ethernetLen+arpLen {
		return nil
	}
	a := arpPacket(frame[ethernetLen : ethernetLen+arpLen])
	if binary.BigEndian.Uint16(a) != 1 || binary.BigEndian.Uint16(a[2:]) != typeIPv4 || a[4] != 6 || a[5] != 4 {
		return nil
	}
	return a
}

func (a arpPacket) operation() uint16    { return binary.BigEndian.Uint16(a[6:]) }
func (a arpPacket) senderMAC() MAC       { return MAC(a[8:14]) }
func (a arpPacket) targetMAC() MAC       { return MAC(a[18:24]) }
func (a arpPacket) senderIP() lookup.Key { return lookup.Key4(a[14:]) }
func (a arpPacket) targetIP() lookup.Key { return lookup.Key4(a[24:]) }

// isAnnouncement reports whether the sender announces its own address (RFC 5227, section 3). A reply must also name the sender's MAC as its
// target, as in Linux (net/ipv4/arp.c, arp_is_garp).
func (a arpPacket) isAnnouncement() bool {
	return a.senderIP() == a.targetIP() && (a.operation() == arpRequest || a.operation() == arpReply && a.senderMAC() == a.targetMAC())
}

// answerARP turns a request into its reply in place: the target address is at mac.
func answerARP(frame []byte, a arpPacket, mac MAC) {
	requester, requesterIP, targetIP := a.senderMAC(), a.senderIP(), a.targetIP()
	setMACs(frame, requester, mac)
	putARP(a, arpReply, mac, targetIP, requester, requesterIP)
}

// writeARP writes an ARP frame to b, which must have ethernetLen+arpLen bytes.
func writeARP(b []byte, to MAC, operation uint16, senderMAC MAC, senderIP lookup.Key, targetMAC MAC, targetIP lookup.Key) {
	setHeader(b, to, senderMAC, typeARP)
	putARP(b[ethernetLen:], operation, senderMAC, senderIP, targetMAC, targetIP)
}

func putARP(a []byte, operation uint16, senderMAC MAC, senderIP lookup.Key, targetMAC MAC, targetIP lookup.Key) {
	binary.BigEndian.PutUint16(a, 1)
	binary.BigEndian.PutUint16(a[2:], typeIPv4)
	a[4], a[5] = 6, 4
	binary.BigEndian.PutUint16(a[6:], operation)
	copy(a[8:14], senderMAC[:])
	senderIP.Put4(a[14:])
	copy(a[18:24], targetMAC[:])
	targetIP.Put4(a[24:])
}
