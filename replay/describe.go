package replay

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A Description is a summary of a frame for people. The texts may change; do not parse them.
type Description struct {
	Source      vswitch.MAC `json:"source,omitzero"`
	Destination vswitch.MAC `json:"destination,omitzero"`
	Text        string      `json:"text"`              // addresses, protocol and its most important fields
	Length      int         `json:"length"`            // of the frame in bytes
	Offload     string      `json:"offload,omitempty"` // work that the offload header leaves; empty: none
}

// Lengths in bytes and types of the headers that descriptions need.
const (
	ethernetLen, vlanLen, arpLen, ipv4Len, ipv6Len = 14, 4, 28, 20, 40

	typeIPv4, typeARP, typeVLAN, typeIPv6, typeQinQ = 0x0800, 0x0806, 0x8100, 0x86dd, 0x88a8

	protocolICMP, protocolTCP, protocolUDP = 1, 6, 17
)

// describe returns the description of a frame. It accepts any bytes.
func describe(f vswitch.Frame) Description {
	b := f.Data
	d := Description{Length: len(b), Offload: describeOffload(f.Offload)}
	if len(b) < ethernetLen {
		d.Text = "too short for Ethernet"
		return d
	}
	d.Destination, d.Source = vswitch.MAC(b[0:6]), vswitch.MAC(b[6:12])
	t, body, tags := binary.BigEndian.Uint16(b[12:]), b[ethernetLen:], ""
	for (t == typeVLAN || t == typeQinQ) && len(body) >= vlanLen {
		tags += fmt.Sprintf("vlan %d ", binary.BigEndian.Uint16(body)&0x0fff)
		t, body = binary.BigEndian.Uint16(body[2:]), body[vlanLen:]
	}
	d.Text = tags + describePacket(t, body)
	return d
}

func describePacket(t uint16, b []byte) string {
	switch {
	case t == typeARP && len(b) >= arpLen:
		return describeARP(b)
	case t == typeIPv4 && len(b) >= ipv4Len:
		return describeIPv4(b)
	case t == typeIPv6 && len(b) >= ipv6Len:
		return describeIPv6(b)
	case t == typeARP, t == typeIPv4, t == typeIPv6:
		return fmt.Sprintf("ethertype 0x%04x, truncated", t)
	}
	return fmt.Sprintf("ethertype 0x%04x", t)
}

func describeARP(b []byte) string {
	sender, target := ip(b[14:]), ip(b[24:])
	switch operation := binary.BigEndian.Uint16(b[6:]); operation {
	case 1:
		return fmt.Sprintf("arp who-has %s tell %s", target, sender)
	case 2:
		return fmt.Sprintf("arp %s is-at %s", sender, vswitch.MAC(b[8:14]))
	default:
		return fmt.Sprintf("arp operation %d", operation)
	}
}

func describeIPv4(b []byte) string {
	text := fmt.Sprintf("%s > %s ", ip(b[12:]), ip(b[16:]))
	header := int(b[0]&15) * 4
	flags := binary.BigEndian.Uint16(b[6:])
	switch {
	case b[0]>>4 != 4 || header < ipv4Len || header > len(b):
		return text + "ipv4 with a malformed header"
	case flags&0x1fff != 0:
		return text + fmt.Sprintf("ip protocol %d fragment at %d", b[9], int(flags&0x1fff)*8)
	}
	return text + describeTransport(b[9], b[header:])
}

func describeTransport(protocol byte, b []byte) string {
	switch {
	case protocol == protocolICMP && len(b) >= 2:
		return "icmp " + icmpName(b[0], b[1])
	case protocol == protocolTCP && len(b) >= 14:
		return strings.TrimSpace(fmt.Sprintf("tcp %d > %d %s", binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), tcpFlags(b[13])))
	case protocol == protocolUDP && len(b) >= 4:
		from, to := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		return fmt.Sprintf("udp %d > %d%s", from, to, dhcpName(from, to, b)+dhcpv6Name(from, to, b))
	}
	return fmt.Sprintf("ip protocol %d", protocol)
}

func tcpFlags(b byte) string {
	var set []string
	for i, name := range []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"} {
		if b>>i&1 != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, ",")
}

func icmpName(kind, code byte) string {
	switch [2]byte{kind, code} {
	case [2]byte{0, 0}:
		return "echo reply"
	case [2]byte{8, 0}:
		return "echo request"
	case [2]byte{3, 0}:
		return "network unreachable"
	case [2]byte{3, 1}:
		return "host unreachable"
	case [2]byte{3, 3}:
		return "port unreachable"
	case [2]byte{3, 4}:
		return "fragmentation needed"
	case [2]byte{3, 13}:
		return "prohibited"
	}
	return fmt.Sprintf("type %d code %d", kind, code)
}

// dhcpName returns the DHCP message type (RFC 2132, section 9.6) if it is the first option, as usual, with a space in front. It returns the
// empty string for other protocols.
func dhcpName(from, to uint16, b []byte) string {
	const options = 8 + 240 // behind the UDP header, the fixed fields and the magic cookie
	if from != 67 && from != 68 || to != 67 && to != 68 {
		return ""
	}
	names := []string{"", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"}
	if len(b) < options+3 || b[options] != 53 || b[options+2] == 0 || int(b[options+2]) >= len(names) {
		return " dhcp"
	}
	return " dhcp " + names[b[options+2]]
}

func describeOffload(h vnet.Header) string {
	var words []string
	switch h.GSOType &^ (vnet.GSOECN | vnet.GSOTunnelIPv4 | vnet.GSOTunnelIPv6) {
	case vnet.GSONone:
	case vnet.GSOTCPv4, vnet.GSOTCPv6:
		words = append(words, fmt.Sprintf("segments of %d", h.GSOSize))
	case vnet.GSOUDPL4:
		words = append(words, fmt.Sprintf("datagrams of %d", h.GSOSize))
	case vnet.GSOUDP:
		words = append(words, fmt.Sprintf("fragments of %d", h.GSOSize))
	default:
		words = append(words, fmt.Sprintf("gso type %d", h.GSOType))
	}
	if h.GSOType&(vnet.GSOTunnelIPv4|vnet.GSOTunnelIPv6) != 0 {
		words = append(words, "in a tunnel")
	}
	if h.Flags&vnet.FlagNeedsChecksum != 0 {
		words = append(words, "checksum to complete")
	}
	return strings.Join(words, ", ")
}

func ip(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b[:4])) }
