package vswitch

import (
	"encoding/binary"
	"time"
)

// fromWire handles one frame that the pod interface received; the steps are at Delegate.
func (d *Delegate) fromWire(f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < ethernetLen {
		out.Drop(Short)
		return
	}
	if !d.cfg.NoARP && sender(f.Data) == d.cfg.WireMAC && !d.fromTwin(f.Data) {
		out.Drop(Reflected)
		return
	}
	if reason, bad := badFrame(f, d.cfg.NoARP); bad {
		out.Drop(reason)
		return
	}
	if ethertype(f.Data) == typeARP {
		d.arpFromWire(f, now, out)
		return
	}
	d.ipFromWire(f, out)
}

// fromTwin tells whether a frame from the wire MAC is another pod's: with ipvlan all pods of a node have the same MAC. Whatever
// is returned of our own has the pod address for a source.
func (d *Delegate) fromTwin(frame []byte) bool {
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
	toUs := a.targetIP() == d.address
	known := d.neighbours.learn(a, toUs && d.isOnLink(a.senderIP()), now, out)
	switch {
	case toUs && d.held(HolderKernel):
		out.Drop(NotHolder)
	case toUs && a.operation() == arpRequest:
		out.Send(PortPod, *f)
	case !known:
		out.Drop(ForeignARP)
	}
}

// isOnLink tells whether a host is a neighbour by the captured routes.
func (d *Delegate) isOnLink(ip uint32) bool {
	nextHop, _, ok := d.routes.lookup(ip)
	return ok && nextHop == ip || d.neighbours.gateways[ip]
}

func (d *Delegate) ipFromWire(f *Frame, out *Out) {
	var p packet
	switch {
	case !p.parse(f.Data):
		out.Drop(BadIPv4)
	case p.isDHCP():
		out.Drop(DHCP)
	case !fit(f, &p, d.cfg.MTU):
		out.Drop(TooBig)
	case p.source == d.address, p.source == d.server:
		out.Drop(ForeignSource)
	case d.isMartianSource(&p):
		out.Drop(Martian)
	case isMulticastIP(p.target):
		d.toGuest(f, &p, multicastMAC(p.target), out)
	case d.isBroadcast(p.target):
		d.toGuest(f, &p, Broadcast, out)
	case p.target != d.address:
		out.Drop(ForeignTarget)
	case d.isForPod(f, &p):
		out.Send(PortPod, *f)
	default:
		d.toGuest(f, &p, d.guest(), out)
	}
}

// isMartianSource tells whether nobody on a wire may be the sender: loopback, groups, broadcasts, and "this network" but for who has no
// address yet and speaks to everybody, as a switch that asks for groups does (RFC 1122, section 3.2.1.3; RFC 4541, section 2.1.1).
func (d *Delegate) isMartianSource(p *packet) bool {
	if p.source == 0 {
		return p.target != 0xffffffff && !isMulticastIP(p.target)
	}
	return isMartian(p.source) || isMulticastIP(p.source) || d.isBroadcast(p.source)
}

// isForPod tells whether a packet to the pod address is the pod endpoint's: a kept port, an ICMP error about one, or,
// while the switch is the holder, an ICMP echo with its fragments.
func (d *Delegate) isForPod(f *Frame, p *packet) bool {
	if d.held(HolderKernel) {
		return false
	}
	switch p.protocol {
	case protocolTCP:
		return p.firstFragment && d.isKept(p.targetPort)
	case protocolICMP:
		if q, ok := p.quoted(f.Data); ok && !q.later {
			return q.protocol == protocolTCP && q.source == d.address && d.isKept(q.sourcePort)
		}
		return d.held(HolderSwitch) && (!p.firstFragment || f.Data[p.transport] == icmpEcho)
	}
	return false
}

// toGuest delivers a packet to the guest, if it is the holder.
func (d *Delegate) toGuest(f *Frame, p *packet, to MAC, out *Out) {
	if !d.held(HolderGuest) {
		out.Drop(NotHolder)
		return
	}
	if to.IsZero() {
		out.Drop(Unresolved)
		return
	}
	clampMSS(f, p, d.cfg.GuestMTU)
	setMACs(f.Data, to, d.cfg.RouterMAC)
	out.Send(PortGuest, *f)
}
