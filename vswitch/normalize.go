package vswitch

import (
	"encoding/binary"

	"github.com/podswitch/podswitch/internal/packet"
	"github.com/podswitch/podswitch/vnet"
)

// normalize removes priority tags, checks what every frame of an Ethernet header's length must satisfy, makes its offload header
// exact, and completes the checksum of an SCTP packet. The tags go first: the offload header is checked against the frame as the
// rules see it and as it leaves, since Check looks behind two tags only. It reports false, with the reason, for a frame that must be dropped. If
// anySource is true, the link has no useful MACs and the source is not checked.
func normalize(f *Frame, anySource bool) (reason Reason, ok bool) {
	t := packet.Ethertype(f.Data)
	if packet.IsTag(t) {
		stripPriority(f)
		t = packet.Ethertype(f.Data)
	}
	if !vnet.Check(&f.Offload, f.Data) {
		return BadOffload, false
	}
	vnet.CompleteSCTP(&f.Offload, f.Data)
	switch {
	case !anySource && !sender(f.Data).isStation():
		return BadSource, false
	case packet.IsTag(t):
		return VLAN, false
	case t != packet.TypeARP && t != packet.TypeIPv4 && t != packet.TypeIPv6:
		return Ethertype, false
	}
	return 0, true
}

// trimToFit reports whether every packet that leaves for this frame has at most mtu bytes. If only the frame's Ethernet padding
// exceeds that, trimToFit removes the padding. A datagram that is to be cut into fragments without DF fits any MTU.
func trimToFit(f *Frame, p *packet.Packet, mtu int) bool {
	if !p.DontFragment {
		lowerFragments(f, mtu+packet.EthernetLen)
	}
	if vnet.WireLen(f.Offload, f.Data) <= mtu+packet.EthernetLen {
		return true
	}
	if f.Offload.Flags&vnet.FlagNeedsChecksum != 0 || p.End > mtu+packet.EthernetLen {
		return false // the checksum to complete may lie behind the packet
	}
	f.Data = f.Data[:p.End]
	return true
}

// lowerFragments makes the fragments of a datagram fit into frames of most bytes, if the datagram is to be cut into fragments (UFO). The size
// that its sender has chosen may be unknown (tap/datagram.go), and another one is as good: the receiver reassembles the same datagram.
func lowerFragments(f *Frame, most int) {
	if f.Offload.GSOType != vnet.GSOUDP {
		return
	}
	if size := (most - int(f.Offload.HdrLen)) &^ 7; size >= 8 {
		f.Offload.GSOSize = min(f.Offload.GSOSize, uint16(min(size, 0xfff8)))
	}
}

// stripPriority removes the outer VLAN tags of a frame whose VLAN is 0: such a tag carries a priority, and the frame is untagged (IEEE
// 802.1Q-2022, section 6.9.1). It moves the MACs, which is a smaller copy than that of the packet. The offload header has not been
// checked: an offset that lies before the tag becomes 0, which Check refuses.
func stripPriority(f *Frame) {
	for packet.IsTag(packet.Ethertype(f.Data)) && len(f.Data) >= packet.EthernetLen+packet.VLANTagLen && binary.BigEndian.Uint16(f.Data[packet.EthernetLen:])&0xfff == 0 {
		copy(f.Data[packet.VLANTagLen:], f.Data[:12])
		f.Data = f.Data[packet.VLANTagLen:]
		if f.Offload.Flags&vnet.FlagNeedsChecksum != 0 {
			f.Offload.CsumStart = max(f.Offload.CsumStart, packet.VLANTagLen) - packet.VLANTagLen
		}
	}
}
