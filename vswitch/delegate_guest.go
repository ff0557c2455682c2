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
	if ethertype(f.Data) == typeARP {
		d.arpFromGuest(f, now, out)
		return
	}
	d.ipFromGuest(f, now, out)
}

func (d *Delegate) arpFromGuest(f *Frame, now time.Duration, out *Out) {
	a := parseARP(f.Data)
	if a == nil {
		out.Drop(BadARP)
		return
	}
	if a.senderIP() == d.address && a.senderMAC() == sender(f.Data) {
		d.use(sender(f.Data), now, true) // exactly: this may be the answer to a probe whose time is compared with it
	}
	// A probe has no sender address (RFC 5227, section 1.1), an announcement has its own address as the target, and a request
	// for the pod address is about the guest itself.
	if a.operation() != arpRequest || a.senderIP() == 0 || a.targetIP() == a.senderIP() || a.targetIP() == d.address {
		out.Drop(OwnARP)
		return
	}
	answerARP(f.Data, a, d.cfg.RouterMAC)
	out.Send(PortGuest, *f)
}

func (d *Delegate) ipFromGuest(f *Frame, now time.Duration, out *Out) {
	var p packet
	switch {
	case !p.parse(f.Data):
		out.Drop(BadIPv4)
	case p.isDHCP() && !d.isRelayed(f, &p, bootReply):
		d.dhcpFromGuest(f, &p, out)
	case p.source != d.address:
		out.dropFor(ForeignSource, offendingIP(p.source))
	case !d.isHeldBy(HolderGuest):
		out.Drop(NotHolder)
		d.use(sender(f.Data), now, false)
	case d.isAboutKept(f.Data, &p):
		out.dropFor(KeptPort, offendingNumber(p.sourcePort))
		d.sendICMPError(PortGuest, f.Data, &p, codeProhibited, 0, out) // else a connection from this port would wait for its timeout
	case p.target == d.server:
		d.recordUse(sender(f.Data), now, false)
		out.Send(PortServer, *f)
	default:
		d.recordUse(sender(f.Data), now, false)
		d.toWire(PortGuest, f, &p, now, out)
	}
}

// isAboutKept reports whether a packet from the guest belongs to a kept port: as its source port, or as the subject of an ICMP error. A
// fragmented error, or one that quotes too little, counts as such, because its subject is unknown; receivers accept an error
// whichever fragment it quotes.
func (d *Delegate) isAboutKept(frame []byte, p *packet) bool {
	if p.protocol == protocolTCP {
		return p.firstFragment && d.isKept(p.sourcePort)
	}
	if len(d.cfg.KeptTCP) == 0 || !p.isError(frame) {
		return false
	}
	q, ok := p.quoted(frame)
	return !ok || p.fragment || q.protocol == protocolTCP && q.target == d.address && d.isKept(q.targetPort)
}

// dhcpFromGuest sends a DHCP client's messages to the server and drops other DHCP.
func (d *Delegate) dhcpFromGuest(f *Frame, p *packet, out *Out) {
	if p.targetPort != dhcpServerPort || p.target != limitedBroadcast && p.target != d.server {
		out.Drop(DHCP)
		return
	}
	out.Send(PortServer, *f)
}

// toWire sends an IPv4 frame from the guest or the pod endpoint towards its destination.
func (d *Delegate) toWire(in int, f *Frame, p *packet, now time.Duration, out *Out) {
	switch {
	case isMartian(p.target):
		out.Drop(Martian)
	case p.target == d.address:
		out.Drop(Hairpin)
	case in == PortGuest && d.rules.deny(p, f.Data):
		out.dropFor(Denied, offendingIP(p.target))
		d.sendICMPError(in, f.Data, p, codeProhibited, 0, out)
	case isMulticastIP(p.target):
		d.toGroup(f, p, multicastMAC(p.target), out)
	case d.isBroadcast(p.target):
		d.toGroup(f, p, Broadcast, out)
	default:
		d.toHost(in, f, p, now, out)
	}
}

// toHost sends a packet to one host: next hop, size, neighbour.
func (d *Delegate) toHost(in int, f *Frame, p *packet, now time.Duration, out *Out) {
	nextHop, r := out.uplink.routes.lookup(p.target)
	if r == nil {
		out.dropFor(NoRoute, offendingIP(p.target))
		d.sendICMPError(in, f.Data, p, codeNetUnreachable, 0, out)
		return
	}
	fits := trimToFit(f, p, r.mtu)
	if !fits && (p.dontFragment || f.Offload.GSOType != vnet.GSONone) {
		out.Drop(TooBig)
		d.sendICMPError(in, f.Data, p, codeFragmentNeeded, r.mtu, out)
		return
	}
	if !fits {
		out.fragment(f, r.mtu, func(piece *Frame) { d.toNextHop(in, nextHop, piece, now, out) })
		return
	}
	clampMSS(f, p, r.mss)
	d.toNextHop(in, nextHop, f, now, out)
}

// toNextHop sends a frame that fits to a neighbour on the wire.
func (d *Delegate) toNextHop(in int, nextHop uint32, f *Frame, now time.Duration, out *Out) {
	mac, ok := out.uplink.mac, true // as Linux does on a link without ARP: net/ipv4/arp.c, arp_constructor
	if !d.cfg.NoARP {
		mac, ok = d.neighbours.resolve(in, nextHop, f, now, out)
	}
	if ok {
		setMACs(f.Data, mac, out.uplink.mac)
		out.Send(PortUplink, *f)
	}
}

// toGroup sends a packet to a group or broadcast address. It needs no neighbour, and RFC 1122, section 3.2.2, forbids an ICMP error
// for a packet that does not fit.
func (d *Delegate) toGroup(f *Frame, p *packet, to MAC, out *Out) {
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
