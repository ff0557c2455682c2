package vswitch

import (
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
)

// fromWire handles one frame from the pod interface; Delegate's comment has the steps.
func (d *Delegate) fromWire(f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < packet.EthernetLen {
		out.Drop(Short)
		return
	}
	if !d.cfg.NoARP && sender(f.Data) == out.uplink.mac && !d.isFromOtherPod(f.Data) {
		out.Drop(Reflected)
		return
	}
	if reason, ok := normalize(f, d.cfg.NoARP); !ok {
		out.Drop(reason)
		return
	}
	kind := packet.Ethertype(f.Data)
	v := d.familyOf(kind)
	switch {
	case v == nil && kind == packet.TypeIPv6:
		out.Drop(PodIPv6)
	case v == nil:
		out.Drop(Ethertype)
	case kind == packet.TypeARP:
		v.arpFromWire(f, now, out)
	default:
		v.ipFromWire(f, now, out)
	}
}

// isFromOtherPod reports whether a frame with the wire MAC as its source comes from another pod: with ipvlan, all pods of a node have the
// same MAC. A reflected frame of this pod has the pod address as its source.
func (d *Delegate) isFromOtherPod(frame []byte) bool {
	v := d.familyOf(packet.Ethertype(frame))
	if v == nil {
		return false
	}
	switch packet.Ethertype(frame) {
	case packet.TypeARP:
		a := packet.ParseARP(frame)
		return a != nil && a.SenderIP() != v.address
	case packet.TypeIPv4:
		return len(frame) >= packet.EthernetLen+packet.IPv4Len && lookup.Key4(frame[packet.EthernetLen+12:]) != v.address
	case packet.TypeIPv6:
		return len(frame) >= packet.EthernetLen+packet.IPv6Len && lookup.Key6(frame[packet.EthernetLen+8:]) != v.address
	}
	return false
}

func (v *Family) arpFromWire(f *Frame, now time.Duration, out *Out) {
	a := packet.ParseARP(f.Data)
	if a == nil || v.cfg.NoARP {
		out.Drop(BadARP)
		return
	}
	if a.SenderIP() == v.address && a.SenderMAC() != out.uplink.mac { // the drop is counted below, or the pod endpoint gets the packet
		out.in.offend(ForeignARP, offendingMAC(a.SenderMAC()))
	}
	isForPod := a.TargetIP() == v.address
	isRequest := a.Operation() == packet.ARPRequest
	known := v.neighbours.learn(claim{a.SenderIP(), a.SenderMAC(), isForPod && isRequest && out.uplink.of(v).isOnLink(a.SenderIP()), a.IsAnnouncement()}, now, out)
	switch {
	case isForPod && v.isHeldBy(HolderKernel):
		out.Drop(NotHolder)
	case isForPod && isRequest:
		out.Send(PortPod, *f)
	case !known:
		out.Drop(ForeignARP)
	}
}

func (v *Family) ipFromWire(f *Frame, now time.Duration, out *Out) {
	var p packet.Packet
	if !p.Parse(f.Data) {
		out.Drop(v.badPacket)
		return
	}
	// A packet above the MTU passes, as in a kernel (RFC 1122, section 3.3.2): the MTU limits what a host sends. Padding does not: a port may
	// have no room for it.
	trimToFit(f, &p, out.uplink.mtu)
	switch {
	case p.IsControl(f.Data):
		v.controlFromWire(f, &p, now, out)
	case p.IsDHCP() && (p.Target != v.address || !v.isRelayed(f, &p, packet.BootRequest)):
		out.Drop(DHCP)
	case p.Source == v.address, p.Source == v.server:
		out.dropFor(ForeignSource, offendingMAC(sender(f.Data)))
	case v.isMartianSource(&p), v.isIPv6 && p.Target.IsMartian(true): // a group within a host, for one
		out.Drop(Martian)
	case p.Target.IsGroup(v.isIPv6):
		v.toGuest(f, &p, p.Target.GroupMAC(v.isIPv6), out)
	case v.isBroadcast(p.Target):
		v.toGuest(f, &p, Broadcast, out)
	case v.isIPv6 && p.Target.IsLinkLocal():
		out.Drop(PodIPv6)
	case p.Target != v.address:
		out.Drop(ForeignTarget)
	case f.Data[0]&1 != 0 && !v.cfg.NoARP: // a group MAC
		out.Drop(GroupFrame)
	case v.sendToEgress(f, &p, now, out):
	case v.isForPod(f, &p, now):
		out.Send(PortPod, *f)
	default:
		v.toGuest(f, &p, v.guest(), out)
	}
}

// isMartianSource reports whether no host may be the source of the packet: loopback, groups, broadcasts and "this network" (RFC
// 1122, section 3.2.1.3). A source of 0.0.0.0 is valid towards a group or broadcast address: a host has no address yet, and a switch
// queries for group members (RFC 4541, section 2.1.1).
func (v *Family) isMartianSource(p *packet.Packet) bool {
	if p.Source == (lookup.Key{}) && !v.isIPv6 {
		return p.Target != lookup.LimitedBroadcast && !p.Target.IsGroup(v.isIPv6)
	}
	return p.Source.IsMartian(v.isIPv6) || p.Source.IsGroup(v.isIPv6) || v.isBroadcast(p.Source)
}

// isForPod reports whether a packet to the pod address is for the pod endpoint: a kept port, an ICMP error about one, or about a flow of the pod's own
// processes, which the endpoint ignores, or, while the switch is the holder, an ICMP echo request with its fragments, and what the endpoint refuses.
func (v *Family) isForPod(f *Frame, p *packet.Packet, now time.Duration) bool {
	if v.isHeldBy(HolderKernel) {
		return false
	}
	switch p.Protocol {
	case packet.ProtocolTCP, packet.ProtocolUDP:
		return p.FirstFragment && v.kept.has(p.Protocol, p.TargetPort) || v.refuses()
	case p.ICMP():
		if q, ok := p.Quoted(f.Data); ok && !q.LaterFragment {
			return q.Source == v.address && (v.kept.has(q.Protocol, q.SourcePort) || v.egress.has(q.Protocol, q.SourcePort, q.Target, q.TargetPort, now))
		}
		return v.isHeldBy(HolderSwitch) && (!p.FirstFragment || p.IsEcho(f.Data))
	}
	return false
}

// refuses reports whether the pod endpoint refuses TCP and UDP, as the kernel does at an address without a service.
func (v *Family) refuses() bool {
	return v.cfg.Refuse && v.isHeldBy(HolderSwitch) && !v.isExpected.Load()
}

// toGuest delivers a packet to the guest if the guest is the holder.
func (v *Family) toGuest(f *Frame, p *packet.Packet, to MAC, out *Out) {
	if !v.isHeldBy(HolderGuest) {
		out.Drop(NotHolder)
		return
	}
	if to.IsZero() {
		out.Drop(Unresolved)
		return
	}
	p.ClampMSS(&f.Offload, f.Data, out.uplink.of(v).guestMSS)
	packet.SetMACs(f.Data, to, v.cfg.RouterMAC)
	out.Send(PortGuest, *f)
}
