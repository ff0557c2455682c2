package vswitch

import "github.com/podswitch/podswitch/vnet"

// fit tells whether the packets that a frame becomes on the wire are at most mtu bytes. Ethernet padding that is too much is
// cut off.
func fit(f *Frame, p *packet, mtu int) bool {
	if vnet.WireLen(f.Offload, f.Data) <= mtu+ethernetLen {
		return true
	}
	if f.Offload.Flags&vnet.FlagNeedsChecksum != 0 || p.end > mtu+ethernetLen {
		return false // with a checksum to complete there is work left behind the packet
	}
	f.Data = f.Data[:p.end]
	return true
}

// badFrame finds the faults that every frame may have behind its length. On a link without useful MACs anySource is true.
func badFrame(f *Frame, anySource bool) (Reason, bool) {
	if !vnet.Check(&f.Offload, f.Data) {
		return BadOffload, true
	}
	vnet.CompleteSCTP(&f.Offload, f.Data)
	switch t := ethertype(f.Data); {
	case !anySource && (sender(f.Data).IsMulticast() || sender(f.Data).IsZero()):
		return BadSource, true
	case t == typeVLAN || t == typeQinQ:
		return VLAN, true
	case t != typeARP && t != typeIPv4:
		return Ethertype, true
	}
	return 0, false
}
