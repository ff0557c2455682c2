package vswitch

import (
	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
	"github.com/podswitch/podswitch/vnet"
)

// Values of the field op of a DHCP message (RFC 2131, section 2).
const (
	bootRequest = 1
	bootReply   = 2
)

// Offsets in a UDP packet with a DHCP message, in bytes.
const (
	udpChecksumAt = 6
	dhcpOp        = packet.UDPLen
	dhcpRelay     = packet.UDPLen + 24 // giaddr
)

// isRelayed reports whether the packet is a whole DHCP message of a kind between a relay and its server: the relay forwards a
// request from its own port 67, and names itself in it, and the server answers to that address (RFC 2131, section 4.1). Such messages pass,
// for a guest that is the server of other networks. No client takes a reply for its own, because clients receive at port 68, and a relay
// passes one on only if it names this relay (RFC 1542, section 4.1.2).
func (v *Family) isRelayed(f *Frame, p *packet.Packet, op byte) bool {
	if v.isIPv6 || p.SourcePort != packet.DHCPServerPort || p.TargetPort != packet.DHCPServerPort || p.Fragment || p.End < p.Transport+dhcpRelay+4 {
		return false
	}
	// To complete a checksum elsewhere would change the message after this check.
	h := &f.Offload
	if h.GSOType != vnet.GSONone || h.Flags&vnet.FlagNeedsChecksum != 0 && (int(h.CsumStart) != p.Transport || h.CsumOffset != udpChecksumAt) {
		return false
	}
	relay := lookup.Key4(f.Data[p.Transport+dhcpRelay:])
	isHost := !relay.IsMartian(false) && !relay.IsGroup(false) && !v.isBroadcast(relay)
	return f.Data[p.Transport+dhcpOp] == op && isHost && (op == bootRequest || relay == p.Target)
}
