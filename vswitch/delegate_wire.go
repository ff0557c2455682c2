package vswitch

import (
	"encoding/binary"
	"time"
)

// fromWire handles one frame from the pod interface; Delegate's comment has the steps.
func (d *Delegate) fromWire(f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < ethernetLen {
		out.Drop(Short)
		return
	}
	if !d.cfg.NoARP && sender(f.Data) == out.uplink.mac && !d.isFromOtherPod(f.Data) {
		out.Drop(Reflected)
		return
	}
	if reason, ok := normalize(f, d.cfg.NoARP); !ok {
		if reason == Ethertype && ethertype(f.Data) == typeIPv6 {
			reason = PodIPv6
		}
		out.Drop(reason)
		return
	}
	if ethertype(f.Data) == typeARP {
		d.arpFromWire(f, now, out)
		return
	}
	d.ipFromWire(f, out)
}

// isFromOtherPod reports whether a frame with the wire MAC as its source comes from another pod: with ipvlan, all pods of a node have the
// same MAC. A reflected frame of this pod has the pod address as its source.
func (d *Delegate) isFromOtherPod(frame []byte) bool {
	switch ethertype(frame) {
	case typeARP:
		a := parseARP(frame)
		return a != nil && a.senderIP() != d.address
	case typeIPv4:
		return len(frame) >= ethernetLen+ipv4Len && binary.BigEndian.Uint32(frame[ethernetLen+12:]) != d.address
	}
	return false
}

func (d *Delegate) arpFromWire(f *Frame, now time.Duration, out *Out) {
	a := parseARP(f.Data)
	if a == nil || d.cfg.NoARP {
		out.Drop(BadARP)
		return
	}
	if a.senderIP() == d.address && a.senderMAC() != out.uplink.mac { // the drop is counted below, or the pod endpoint gets the packet
		out.in.offend(ForeignARP, offendingMAC(a.senderMAC()))
	}
	isForPod := a.targetIP() == d.address
	isRequest := a.operation() == arpRequest
	known := d.neighbours.learn(a, isForPod && isRequest && out.uplink.isOnLink(a.senderIP()), now, out)
	switch {
	case isForPod && d.isHeldBy(HolderKernel):
		out.Drop(NotHolder)
	case isForPod && isRequest:
		out.Send(PortPod, *f)
	case !known:
		out.Drop(ForeignARP)
	}
}

func (d *Delegate) ipFromWire(f *Frame, out *Out) {
	var p packet
	if !p.parse(f.Data) {
		out.Drop(BadIPv4)
		return
	}
	// A packet above the MTU passes, as in a kernel (RFC 1122, section 3.3.2): the MTU limits what a host sends. Padding does not: a port may
	// have no room for it.
	trimToFit(f, &p, out.uplink.mtu)
	switch {
	case p.isDHCP() && (p.target != d.address || !d.isRelayed(f, &p, bootRequest)):
		out.Drop(DHCP)
	case p.source == d.address, p.source == d.server:
		out.dropFor(ForeignSource, offendingMAC(sender(f.Data)))
	case d.isMartianSource(&p):
		out.Drop(Martian)
	case isMulticastIP(p.target):
		d.toGuest(f, &p, multicastMAC(p.target), out)
	case d.isBroadcast(p.target):
		d.toGuest(f, &p, Broadcast, out)
	case p.target != d.address:
		out.Drop(ForeignTarget)
	case f.Data[0]&1 != 0 && !d.cfg.NoARP: // a group MAC
		out.Drop(GroupFrame)
	case d.isForPod(f, &p):
		out.Send(PortPod, *f)
	default:
		d.toGuest(f, &p, d.guest(), out)
	}
}

// isMartianSource reports whether no host may be the source of the packet: loopback, groups, broadcasts and "this network" (RFC
// 1122, section 3.2.1.3). A source of 0.0.0.0 is valid towards a group or broadcast address: a host has no address yet, and a switch
// queries for group members (RFC 4541, section 2.1.1).
func (d *Delegate) isMartianSource(p *packet) bool {
	if p.source == 0 {
		return p.target != limitedBroadcast && !isMulticastIP(p.target)
	}
	return isMartian(p.source) || isMulticastIP(p.source) || d.isBroadcast(p.source)
}

// isForPod reports whether a packet to the pod address is for the pod endpoint: a kept port, an ICMP error about one, or, while
// the switch is the holder, an ICMP echo request with its fragments, and what the endpoint refuses.
func (d *Delegate) isForPod(f *Frame, p *packet) bool {
	if d.isHeldBy(HolderKernel) {
		return false
	}
	switch p.protocol {
	case protocolTCP:
		return p.firstFragment && d.isKept(p.targetPort) || d.refuses()
	case protocolUDP:
		return d.refuses()
	case protocolICMP:
		if q, ok := p.quoted(f.Data); ok && !q.laterFragment {
			return q.protocol == protocolTCP && q.source == d.address && d.isKept(q.sourcePort)
		}
		return d.isHeldBy(HolderSwitch) && (!p.firstFragment || f.Data[p.transport] == icmpEcho)
	}
	return false
}

// refuses reports whether the pod endpoint refuses TCP and UDP, as the kernel does at an address without a service.
func (d *Delegate) refuses() bool {
	return d.cfg.Refuse && d.isHeldBy(HolderSwitch) && !d.isExpected.Load()
}

// toGuest delivers a packet to the guest if the guest is the holder.
func (d *Delegate) toGuest(f *Frame, p *packet, to MAC, out *Out) {
	if !d.isHeldBy(HolderGuest) {
		out.Drop(NotHolder)
		return
	}
	if to.IsZero() {
		out.Drop(Unresolved)
		return
	}
	clampMSS(f, p, out.uplink.guestMSS)
	setMACs(f.Data, to, d.cfg.RouterMAC)
	out.Send(PortGuest, *f)
}
