package oracle

import (
	"net/netip"

	"github.com/podswitch/podswitch/vswitch"
)

// fromWire has the steps of the comment on vswitch.Delegate, "Frames from the wire".
func (c *call) fromWire(f vswitch.Frame) {
	// 1. validate: reflected frames, then the offload header; 2. ethertype
	if !c.d.cfg.NoARP && source(f.Data) == c.d.cfg.WireMAC && !c.isFromOtherPod(f.Data) {
		c.refuse(vswitch.Reflected)
		return
	}
	var possible bool
	f = untagged(f)
	f.Offload, possible = Exact(f.Offload, f.Data)
	f = settled(f, possible)
	if reason, bad := fault(f, possible, c.d.cfg.NoARP); bad {
		c.refuse(reason)
		return
	}
	if c.Family = c.d.of(f.Data); c.Family == nil {
		if kind(f.Data) == typeIPv6 {
			c.refuse(vswitch.PodIPv6)
			return
		}
		c.refuse(vswitch.Ethertype)
		return
	}
	// 3. ARP
	if kind(f.Data) == typeARP {
		c.arpFromWire(f)
		return
	}
	c.ipFromWire(f)
}

// isFromOtherPod reports whether a frame with the wire MAC comes from another pod on an ipvlan: it has another source address.
func (c *call) isFromOtherPod(frame []byte) bool {
	if c.Family == nil {
		return false
	}
	switch kind(frame) {
	case typeIPv6:
		return len(frame) >= ethernetHeader+40 && address6(frame[ethernetHeader+8:]) != c.self
	case typeARP:
		a, ok := readARP(frame)
		return ok && a.senderIP != c.self
	case typeIPv4:
		return len(frame) >= ethernetHeader+20 && address(frame[ethernetHeader+12:ethernetHeader+16]) != c.self
	}
	return false
}

func (c *call) arpFromWire(f vswitch.Frame) {
	a, ok := readARP(f.Data)
	if !ok || c.cfg.NoARP {
		c.refuse(vswitch.BadARP)
		return
	}
	targetsPod := a.targetIP == c.self
	asks := targetsPod && a.operation == request && c.isOnLink(a.senderIP)
	known := c.learn(claim{ip: a.senderIP, mac: a.senderMAC, asks: asks, changes: isAnnouncement(a)})
	switch {
	case targetsPod && c.holder == vswitch.HolderKernel:
		c.refuse(vswitch.NotHolder)
	case targetsPod && a.operation == request:
		c.send(vswitch.PortPod, f)
	case !known:
		c.refuse(vswitch.ForeignARP)
	default:
		c.Noted++
	}
}

func (c *call) ipFromWire(f vswitch.Frame) {
	// 4. IPv4: judged by destination IP
	p, ok := readPacket(f.Data)
	if ok {
		f = trimmed(f, p, c.cfg.MTU)
	}
	switch {
	case !ok:
		c.refuse(c.malformed())
	case p.isOfLink():
		c.linkFromWire(f, p)
	case p.isDHCP() && !(p.target == c.self && c.isRelayed(f, p, 1)):
		c.refuse(vswitch.DHCP)
	case p.source == c.self, p.source == c.server:
		c.refuse(vswitch.ForeignSource)
	case c.isMartianSource(p.source, p.target), c.six && isMartian(p.target):
		c.refuse(vswitch.Martian)
	case isGroupIP(p.target):
		c.toGuest(f, p, groupMAC(p.target))
	case c.isBroadcast(p.target):
		c.toGuest(f, p, vswitch.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	case c.six && p.target.IsLinkLocalUnicast():
		c.refuse(vswitch.PodIPv6)
	case p.target != c.self:
		c.refuse(vswitch.ForeignTarget)
	case isGroup(target(f.Data)) && !c.cfg.NoARP:
		c.refuse(vswitch.GroupFrame)
	// 5. kept ports, and errors about them; 6. the holder
	case c.isForPod(p):
		c.send(vswitch.PortPod, f)
	default:
		c.toGuest(f, p, c.guest)
	}
}

// isMartianSource reports whether no host may be the source. Hosts without an address send from the unspecified address to groups and
// broadcast addresses.
func (c *call) isMartianSource(source, target netip.Addr) bool {
	if !c.six && source.IsUnspecified() && (target == limitedBroadcast || isGroupIP(target)) {
		return false
	}
	return isMartian(source) || isGroupIP(source) || c.isBroadcast(source)
}

// isForPod reports whether a packet to the pod address is for the pod endpoint.
func (c *call) isForPod(p packet) bool {
	if c.holder == vswitch.HolderKernel {
		return false
	}
	if c.cfg.Refuse && c.holder == vswitch.HolderSwitch && (p.protocol == tcp || p.protocol == udp) {
		return true
	}
	if p.protocol == tcp || p.protocol == udp {
		return p.first && c.isKept(p.protocol, p.to)
	}
	if q, ok := p.quoted(); ok && q.first {
		return q.source == c.self && c.isKept(q.protocol, q.from)
	}
	laterFragment := p.protocol == p.icmp() && !p.first
	return c.holder == vswitch.HolderSwitch && (p.isEcho() || laterFragment)
}

func (c *call) toGuest(f vswitch.Frame, p packet, to vswitch.MAC) {
	switch {
	case c.holder != vswitch.HolderGuest:
		c.refuse(vswitch.NotHolder)
	case isNobody(to):
		c.refuse(vswitch.Unresolved)
	default:
		c.send(vswitch.PortGuest, readdressed(clamped(f, p, c.cfg.GuestMTU), to, c.cfg.RouterMAC))
	}
}
