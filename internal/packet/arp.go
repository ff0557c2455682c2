package packet

import (
	"encoding/binary"

	"github.com/podswitch/podswitch/internal/lookup"
)

// ARP operations (RFC 826).
const (
	ARPRequest = 1
	ARPReply   = 2
)

// An ARP is a view of an ARP packet for IPv4 over Ethernet (RFC 826) within its frame.
type ARP []byte

// ParseARP returns the ARP packet of a frame. It returns nil if the packet is malformed or maps other addresses than IPv4 to Ethernet.
func ParseARP(frame []byte) ARP {
	if len(frame) < EthernetLen+ARPLen {
		return nil
	}
	a := ARP(frame[EthernetLen : EthernetLen+ARPLen])
	if binary.BigEndian.Uint16(a) != 1 || binary.BigEndian.Uint16(a[2:]) != TypeIPv4 || a[4] != 6 || a[5] != 4 {
		return nil
	}
	return a
}

// The fields of the packet.
func (a ARP) Operation() uint16    { return binary.BigEndian.Uint16(a[6:]) }
func (a ARP) SenderMAC() [6]byte   { return [6]byte(a[8:14]) }
func (a ARP) TargetMAC() [6]byte   { return [6]byte(a[18:24]) }
func (a ARP) SenderIP() lookup.Key { return lookup.Key4(a[14:]) }
func (a ARP) TargetIP() lookup.Key { return lookup.Key4(a[24:]) }

// IsAnnouncement reports whether the sender announces its own address (RFC 5227, section 3). A reply must also name the sender's MAC as its
// target, as in Linux (net/ipv4/arp.c, arp_is_garp).
func (a ARP) IsAnnouncement() bool {
	return a.SenderIP() == a.TargetIP() && (a.Operation() == ARPRequest || a.Operation() == ARPReply && a.SenderMAC() == a.TargetMAC())
}

// Answer turns a request into its reply in place, in the frame that it was parsed from: the target address is at mac.
func (a ARP) Answer(frame []byte, mac [6]byte) {
	SetMACs(frame, a.SenderMAC(), mac)
	target := [4]byte(a[24:])
	copy(a[18:28], a[8:18]) // the sender's MAC and address
	copy(a[8:14], mac[:])
	copy(a[14:18], target[:])
	binary.BigEndian.PutUint16(a[6:], ARPReply)
}

// WriteARP writes an ARP frame to b, which must have EthernetLen+ARPLen bytes.
func WriteARP(b []byte, to [6]byte, operation uint16, senderMAC [6]byte, senderIP lookup.Key, targetMAC [6]byte, targetIP lookup.Key) {
	SetHeader(b, to, senderMAC, TypeARP)
	putARP(b[EthernetLen:], operation, senderMAC, senderIP, targetMAC, targetIP)
}

func putARP(a []byte, operation uint16, senderMAC [6]byte, senderIP lookup.Key, targetMAC [6]byte, targetIP lookup.Key) {
	binary.BigEndian.PutUint16(a, 1)
	binary.BigEndian.PutUint16(a[2:], TypeIPv4)
	a[4], a[5] = 6, 4
	binary.BigEndian.PutUint16(a[6:], operation)
	copy(a[8:14], senderMAC[:])
	senderIP.Put4(a[14:])
	copy(a[18:24], targetMAC[:])
	targetIP.Put4(a[24:])
}
