package vswitch

import (
	"time"

	"github.com/podswitch/podswitch/vnet"
)

// fromGuest handles one frame from the guest; Delegate's comment has the steps.
func (d *Delegate) fromGuest(f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < ethernetLen {
		out.Drop(Short)
		return
	}
	if reason, ok := normalize(f, false); !ok {
		out.Drop(reason)
		if reason == VLAN {
			out.in.offend(VLAN, offendingTag(f.Data))
		}
		return
	}
	if !d.cfg.PinnedMAC.IsZero() && sender(f.Data) != d.cfg.PinnedMAC {
		out.dropFor(ForeignMAC, offendingMAC(sender(f.Data)))
		return
	}
	kind := ethertype(f.Data)
	v := d.familyOf(kind)
	switch {
	case v == nil:
		out.Drop(Ethertype)
	case kind == typeARP:
		v.arpFromGuest(f, now, out)
	default:
		v.ipFromGuest(f, now, out)
	}
}

func (v *Family) arpFromGuest(f *Frame, now time.Duration, out *Out) {
	a := parseARP(f.Data)
	if a == nil {
		out.Drop(BadARP)
		return
	}
	if a.senderIP() == v.address && a.senderMAC() == sender(f.Data) {
		v.use(sender(f.Data), now, true) // exactly: this may be the answer to a probe whose time is compared with it
	}
	// A probe has no sender address (RFC 5227, section 1.1), an announcement has its own address as the target, and a request
	// for the pod address is about the guest itself.
	if a.operation() != arpRequest || a.senderIP() == (key{}) || a.targetIP() == a.senderIP() || a.targetIP() == v.address {
		out.Drop(OwnARP)
		return
	}
	answerARP(f.Data, a, v.cfg.RouterMAC)
	out.Send(PortGuest, *f)
}

func (v *Family) ipFromGuest(f *Frame, now time.Duration, out *Out) {
	var p packet
	switch {
	case !p.parse(f.Data):
		out.Drop(BadIPv4)
	case p.isDHCP() && !v.isRelayed(f, &p, bootReply):
		v.dhcpFromGuest(f, &p, out)
	case p.source != v.address:
		out.dropFor(ForeignSource, offendingIP(p.source))
	case !v.isHeldBy(HolderGuest):
		out.Drop(NotHolder)
		v.use(sender(f.Data), now, false)
	case v.isAboutKept(f.Data, &p) || v.isOfEgress(&p, now):
		out.dropFor(KeptPort, offendingNumber(p.sourcePort))
		v.sendICMPError(PortGuest, f.Data, &p, codeProhibited, 0, out) // else a connection from this port would wait for its timeout
	case p.target == v.server:
		v.recordUse(sender(f.Data), now, false)
		out.Send(PortServer, *f)
	default:
		v.recordUse(sender(f.Data), now, false)
		v.toWire(PortGuest, f, &p, now, out)
	}
}

// isAboutKept reports whether a packet from the guest belongs to a kept port: as its source port, or as the subject of an ICMP error. A
// fragmented error, or one that quotes too little, counts as such, because its subject is unknown; receivers accept an error
// whichever fragment it quotes.
func (v *Family) isAboutKept(frame []byte, p *packet) bool {
	if p.firstFragment && v.kept.has(p.protocol, p.sourcePort) {
		return true
	}
	if len(v.cfg.KeptTCP)+len(v.cfg.KeptUDP) == 0 || !p.isError(frame) {
		return false
	}
	q, ok := p.quoted(frame)
	return !ok || p.fragment || q.target == v.address && v.kept.has(q.protocol, q.targetPort)
}

// dhcpFromGuest sends a DHCP client's messages to the server and drops other DHCP.
func (v *Family) dhcpFromGuest(f *Frame, p *packet, out *Out) {
	if p.targetPort != dhcpServerPort || p.target != limitedBroadcast && p.target != v.server {
		out.Drop(DHCP)
		return
	}
	out.Send(PortServer, *f)
}

// toWire sends an IPv4 frame from the guest or the pod endpoint towards its destination.
func (v *Family) toWire(in int, f *Frame, p *packet, now time.Duration, out *Out) {
	switch {
	case p.target.isMartian(v.isIPv6):
		out.Drop(Martian)
	case p.target == v.address:
		out.Drop(Hairpin)
	case (in == PortGuest || p.protocol == protocolUDP) && v.rules.deny(p, f.Data):
		out.dropFor(Denied, offendingIP(p.target))
		v.sendICMPError(in, f.Data, p, codeProhibited, 0, out)
	case p.target.isGroup(v.isIPv6):
		v.toGroup(f, p, p.target.groupMAC(v.isIPv6), out)
	case v.isBroadcast(p.target):
		v.toGroup(f, p, Broadcast, out)
	default:
		v.toHost(in, f, p, now, out)
	}
}

// toHost sends a packet to one host: next hop, size, neighbour.
func (v *Family) toHost(in int, f *Frame, p *packet, now time.Duration, out *Out) {
	nextHop, r := out.uplink.of(v).routes.lookup(p.target)
	if r == nil {
		out.dropFor(NoRoute, offendingIP(p.target))
		v.sendICMPError(in, f.Data, p, codeNetUnreachable, 0, out)
		return
	}
	fits := trimToFit(f, p, r.mtu)
	if !fits && (p.dontFragment || f.Offload.GSOType != vnet.GSONone) {
		out.Drop(TooBig)
		v.sendICMPError(in, f.Data, p, codeFragmentNeeded, r.mtu, out)
		return
	}
	if !fits {
		out.fragment(f, r.mtu, func(piece *Frame) { v.toNextHop(in, nextHop, piece, now, out) })
		return
	}
	clampMSS(f, p, r.mss)
	v.toNextHop(in, nextHop, f, now, out)
}

// toNextHop sends a frame that fits to a neighbour on the wire.
func (v *Family) toNextHop(in int, nextHop key, f *Frame, now time.Duration, out *Out) {
	mac, ok := out.uplink.mac, true // as Linux does on a link without ARP: net/ipv4/arp.c, arp_constructor
	if !v.cfg.NoARP {
		mac, ok = v.neighbours.resolve(in, nextHop, f, now, out)
	}
	if ok {
		setMACs(f.Data, mac, out.uplink.mac)
		out.Send(PortUplink, *f)
	}
}

// toGroup sends a packet to a group or broadcast address. It needs no neighbour, and RFC 1122, section 3.2.2, forbids an ICMP error
// for a packet that does not fit.
func (v *Family) toGroup(f *Frame, p *packet, to MAC, out *Out) {
	send := func(f *Frame) {
		setMACs(f.Data, to, out.uplink.mac)
		out.Send(PortUplink, *f)
	}
	switch {
	case trimToFit(f, p, out.uplink.mtu):
		send(f)
	case p.dontFragment || f.Offload.GSOType != vnet.GSONone:
		out.Drop(TooBig)
	default:
		out.fragment(f, out.uplink.mtu, send)
	}
}
