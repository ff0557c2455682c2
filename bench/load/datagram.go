package main

import (
	"encoding/binary"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
)

const (
	ipv4Length = 20 // of a header without options
	udpLength  = 8

	// protocolIPv4 is ETH_P_IP in network byte order (packet(7)), on a little-endian machine.
	protocolIPv4 = 0x0008
)

// packet encapsulates a client's message in UDP and IPv4, from 0.0.0.0 to 255.255.255.255 (RFC 2131 4.1).
func packet(message []byte) []byte {
	b := make([]byte, ipv4Length+udpLength, ipv4Length+udpLength+len(message))
	b = append(b, message...)
	ip, udp := b[:ipv4Length], b[ipv4Length:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(len(b)))
	ip[8], ip[9] = 64, unix.IPPROTO_UDP
	copy(ip[16:20], []byte{255, 255, 255, 255})
	binary.BigEndian.PutUint16(ip[10:], vnet.Checksum(ip, 0))

	binary.BigEndian.PutUint16(udp, dhcpv4.ClientPort)
	binary.BigEndian.PutUint16(udp[2:], dhcpv4.ServerPort)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	sum := vnet.Checksum(udp, vnet.PseudoSum(ip[12:16], ip[16:20], unix.IPPROTO_UDP, len(udp)))
	if sum == 0 {
		sum = 0xffff // 0 means no checksum (RFC 768)
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
	return b
}

// reply returns the DHCP message of an IPv4 packet to a client. It does not verify checksums, which the kernel leaves incomplete between
// devices of the same machine.
func reply(b []byte) (*dhcpv4.DHCPv4, bool) {
	if len(b) < ipv4Length || b[0]>>4 != 4 || b[9] != unix.IPPROTO_UDP {
		return nil, false
	}
	head := int(b[0]&0xf) * 4
	if head < ipv4Length || len(b) < head+udpLength {
		return nil, false
	}
	udp := b[head:]
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if binary.BigEndian.Uint16(udp[2:]) != dhcpv4.ClientPort || length < udpLength || length > len(udp) {
		return nil, false
	}
	message, err := dhcpv4.FromBytes(udp[udpLength:length])
	if err != nil || message.OpCode != dhcpv4.OpcodeBootReply {
		return nil, false
	}
	return message, true
}
