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
	case p.source == d.address:
		out.Drop(ForeignSource)
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
		if protocol, source, port, ok := p.quotedFlow(f.Data); ok {
			return protocol == protocolTCP && source == d.address && d.isKept(port)
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
