package replay

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// IPv6 extension headers (RFC 8200, section 4; RFC 4302).
const (
	extensionHopByHop       = 0
	extensionRouting        = 43
	extensionFragment       = 44
	extensionAuthentication = 51
	extensionDestination    = 60

	protocolICMPv6 = 58
)

// An upperLayer is what an IPv6 packet carries behind its extension headers.
type upperLayer struct {
	protocol byte
	body     []byte // from the transport header on
	offset   int    // of a later fragment in bytes, which has no transport header; 0: none
}

// upperLayerOf walks the extension headers of an IPv6 packet of at least ipv6Len bytes, to the end of what was captured.
func upperLayerOf(packet []byte) upperLayer {
	u := upperLayer{protocol: packet[6], body: packet[ipv6Len:]}
	for len(u.body) >= 8 && u.offset == 0 {
		length := (int(u.body[1]) + 1) * 8
		switch u.protocol {
		case extensionHopByHop, extensionRouting, extensionDestination:
		case extensionAuthentication:
			length = (int(u.body[1]) + 2) * 4
		case extensionFragment:
			length, u.offset = 8, int(binary.BigEndian.Uint16(u.body[2:])&^7)
		default:
			return u
		}
		u.protocol, u.body = u.body[0], u.body[min(length, len(u.body)):]
	}
	return u
}

// isControl reports whether the packet is neighbour, router or multicast listener discovery, which a forwarder answers or drops.
func (u *upperLayer) isControl() bool {
	return u.protocol == protocolICMPv6 && u.offset == 0 && len(u.body) > 0 && u.body[0] >= 130 && u.body[0] <= 143
}

func describeIPv6(b []byte) string {
	text := fmt.Sprintf("%s > %s ", netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])))
	u := upperLayerOf(b)
	switch {
	case b[0]>>4 != 6:
		return text + "ipv6 with a malformed header"
	case u.offset != 0:
		return text + fmt.Sprintf("ip protocol %d fragment at %d", u.protocol, u.offset)
	case u.protocol == protocolICMPv6 && len(u.body) >= 4:
		return text + "icmp6 " + describeICMPv6(u.body)
	}
	return text + describeTransport(u.protocol, u.body)
}

// describeICMPv6 returns the type of a message, and what a message of neighbour discovery is about.
func describeICMPv6(b []byte) string {
	const target, option = 8, 24 // of solicitations and advertisements of a neighbour (RFC 4861, sections 4.3 and 4.4)
	kind := b[0]
	switch {
	case kind == vnet.NeighbourSolicitation && len(b) >= option:
		return "who-has " + netip.AddrFrom16([16]byte(b[target:option])).String()
	case kind == vnet.NeighbourAdvertisement && len(b) >= option:
		text := netip.AddrFrom16([16]byte(b[target:option])).String()
		if len(b) >= option+8 && b[option] == 2 { // target link-layer address
			return fmt.Sprintf("%s is-at %s", text, vswitch.MAC(b[option+2:option+8]))
		}
		return text + " is here"
	case kind == 2 && len(b) >= 8:
		return fmt.Sprintf("packet too big mtu %d", binary.BigEndian.Uint32(b[4:]))
	case kind == 1:
		return unreachableName(b[1])
	}
	if name := icmpv6Names[kind]; name != "" {
		return name
	}
	return fmt.Sprintf("type %d code %d", kind, b[1])
}

// icmpv6Names has the types of messages (IANA's ICMPv6 parameters).
var icmpv6Names = map[byte]string{
	3: "time exceeded", 4: "parameter problem", 128: "echo request", 129: "echo reply",
	130: "mld query", 131: "mld report", 132: "mld done", 143: "mld2 report",
	133: "router solicitation", 134: "router advertisement", 137: "redirect",
}

// unreachableName returns the name of a code of destination unreachable (RFC 4443, section 3.1).
func unreachableName(code byte) string {
	names := []string{"no route", "prohibited", "beyond scope", "host unreachable", "port unreachable", "source prohibited", "route rejected"}
	if int(code) >= len(names) {
		return fmt.Sprintf("unreachable code %d", code)
	}
	return names[code]
}

// dhcpv6Name returns the DHCPv6 message type (RFC 8415, section 7.3) with a space in front, or the empty string for other protocols.
func dhcpv6Name(from, to uint16, b []byte) string {
	const header = 8
	if from != 546 && from != 547 || to != 546 && to != 547 {
		return ""
	}
	names := []string{"", "SOLICIT", "ADVERTISE", "REQUEST", "CONFIRM", "RENEW", "REBIND", "REPLY", "RELEASE", "DECLINE", "RECONFIGURE",
		"INFORMATION-REQUEST", "RELAY-FORW", "RELAY-REPL"}
	if len(b) <= header || b[header] == 0 || int(b[header]) >= len(names) {
		return " dhcp6"
	}
	return " dhcp6 " + names[b[header]]
}
