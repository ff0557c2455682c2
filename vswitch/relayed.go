package vswitch

import (
	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
	"github.com/podswitch/podswitch/vnet"
)

// isRelayed reports whether the packet is a whole DHCP message of a kind between a relay and its server: the relay forwards a
// request from its own port 67, and names itself in it, and the server answers to that address (RFC 2131, section 4.1). Such messages pass,
// for a guest that is the server of other networks. No client takes a reply for its own, because clients receive at port 68, and a relay
// passes one on only if it names this relay (RFC 1542, section 4.1.2).
func (v *Family) isRelayed(f *Frame, p *packet.Packet, op byte) bool {
	if v.isIPv6 || p.SourcePort != packet.DHCPServerPort || p.TargetPort != packet.DHCPServerPort || p.Fragment || p.End < p.Transport+packet.DHCPRelayAt+4 {
		return false
	}
	// To complete a checksum elsewhere would change the message after this check.
	h := &f.Offload
	if h.GSOType != vnet.GSONone || h.Flags&vnet.FlagNeedsChecksum != 0 && (int(h.CsumStart) != p.Transport || h.CsumOffset != packet.UDPChecksumAt) {
		return false
	}
	relay := lookup.Key4(f.Data[p.Transport+packet.DHCPRelayAt:])
	isHost := !relay.IsMartian(false) && !relay.IsGroup(false) && !v.isBroadcast(relay)
	return f.Data[p.Transport+packet.DHCPOpAt] == op && isHost && (op == packet.BootRequest || relay == p.Target)
}
