package vswitch

import (
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
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
	kind := ethertype(f.Data)
	v := d.familyOf(kind)
	if v == nil {
		out.Drop(Ethertype)
		return
	}
	if !d.cfg.PinnedMAC.IsZero() && sender(f.Data) != d.cfg.PinnedMAC {
		out.dropFor(ForeignMAC, offendingMAC(sender(f.Data)))
		return
	}
	if kind == typeARP {
		v.arpFromGuest(f, now, out)
		return
	}
	v.ipFromGuest(f, now, out)
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
	if a.operation() != arpRequest || a.senderIP() == (lookup.Key{}) || a.targetIP() == a.senderIP() || a.targetIP() == v.address {
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
		out.Drop(v.badPacket)
	case p.isControl(f.Data):
		v.controlFromGuest(f, &p, now, out)
	case p.isDHCP() && !v.isRelayed(f, &p, bootReply):
		v.dhcpFromGuest(f, &p, out)
	case v.isIPv6 && p.source.IsLinkLocal():
		v.linkLocalFromGuest(f, &p, out)
	case p.source != v.address:
		out.dropFor(ForeignSource, offendingIP(p.source, v.isIPv6))
	case !v.isHeldBy(HolderGuest) && !v.becomesHolder(sender(f.Data), now):
		out.Drop(NotHolder)
	case v.isAboutKept(f.Data, &p, now) || v.isOfEgress(&p, now):
		out.dropFor(KeptPort, offendingNumber(p.sourcePort))
		v.sendICMPError(PortGuest, f.Data, &p, errorProhibited, 0, out) // else a connection from this port would wait for its timeout
	case p.target == v.server:
		v.recordUse(sender(f.Data), now, false)
		v.toServer(f, out)
	default:
		v.recordUse(sender(f.Data), now, false)
		v.toWire(PortGuest, f, &p, now, out)
	}
}

// isAboutKept reports whether a packet from the guest belongs to a kept port: as its source port, or as the subject of an ICMP error, which
// may also be a flow of the pod's own processes. A fragmented error, or one that quotes too little, counts as such, because its subject is unknown; receivers accept an error
// whichever fragment it quotes.
func (v *Family) isAboutKept(frame []byte, p *packet, now time.Duration) bool {
	if p.firstFragment && v.kept.has(p.protocol, p.sourcePort) {
		return true
	}
	if len(v.cfg.KeptTCP)+len(v.cfg.KeptUDP) == 0 && v.egress == nil || !p.isError(frame) {
		return false
	}
	q, ok := p.quoted(frame)
	return !ok || p.fragment || q.target == v.address &&
		(v.kept.has(q.protocol, q.targetPort) || v.egress.has(q.protocol, q.targetPort, q.source, q.sourcePort, now))
}

// dhcpFromGuest sends a DHCP client's messages to the server and drops other DHCP.
func (v *Family) dhcpFromGuest(f *Frame, p *packet, out *Out) {
	port, all := uint16(dhcpServerPort), lookup.LimitedBroadcast
	if v.isIPv6 {
		port, all = dhcpv6ServerPort, dhcpServers
	}
	if p.targetPort != port || p.target != all && p.target != v.server {
		out.Drop(DHCP)
		return
	}
	v.toServer(f, out)
}

// linkLocalFromGuest sends packets between the guest's link-local address and the router's to the server, and no others.
func (v *Family) linkLocalFromGuest(f *Frame, p *packet, out *Out) {
	if p.target != v.server {
		out.Drop(LinkLocal)
		return
	}
	v.toServer(f, out)
}

// toServer sends a frame of the guest to the server, which does not learn the sender's MAC.
func (v *Family) toServer(f *Frame, out *Out) {
	if from := sender(f.Data).key(); v.client.Load() != from {
		v.client.Store(from)
	}
	out.Send(PortServer, *f)
}

// toWire sends an IPv4 frame from the guest or the pod endpoint towards its destination.
func (v *Family) toWire(in int, f *Frame, p *packet, now time.Duration, out *Out) {
	switch {
	case p.target.IsMartian(v.isIPv6):
		out.Drop(Martian)
	case v.isIPv6 && p.target.IsLinkLocal():
		out.Drop(LinkLocal)
	case p.target == v.address:
		out.Drop(Hairpin)
	case (in == PortGuest || p.protocol == protocolUDP) && v.rules.deny(p, f.Data):
		out.dropFor(Denied, offendingIP(p.target, v.isIPv6))
		v.sendICMPError(in, f.Data, p, errorProhibited, 0, out)
	case p.target.IsGroup(v.isIPv6):
		v.toGroup(in, f, p, p.target.GroupMAC(v.isIPv6), out)
	case v.isBroadcast(p.target):
		v.toGroup(in, f, p, Broadcast, out)
	default:
		v.toHost(in, f, p, now, out)
	}
}

// toHost sends a packet to one host: next hop, size, neighbour.
func (v *Family) toHost(in int, f *Frame, p *packet, now time.Duration, out *Out) {
	nextHop, r := out.uplink.of(v).routes.lookup(p.target)
	if r == nil {
		out.dropFor(NoRoute, offendingIP(p.target, v.isIPv6))
		v.sendICMPError(in, f.Data, p, errorNoRoute, 0, out)
		return
	}
	fits := trimToFit(f, p, r.mtu)
	if !fits && (p.dontFragment || f.Offload.GSOType != vnet.GSONone) {
		out.Drop(TooBig)
		v.reportTooBig(in, f, p, r.mtu, out)
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
func (v *Family) toNextHop(in int, nextHop lookup.Key, f *Frame, now time.Duration, out *Out) {
	mac, ok := out.uplink.mac, true // as Linux does on a link without ARP: net/ipv4/arp.c, arp_constructor
	if !v.cfg.NoARP {
		mac, ok = v.neighbours.resolve(in, nextHop, f, now, out)
	}
	if ok {
		setMACs(f.Data, mac, out.uplink.mac)
		out.Send(PortUplink, *f)
	}
}

// reportTooBig tells the sender of a packet that it does not fit. In IPv6, no path has less than minMTU.
func (v *Family) reportTooBig(in int, f *Frame, p *packet, mtu int, out *Out) {
	if v.isIPv6 {
		mtu = max(mtu, minMTU)
	}
	v.sendICMPError(in, f.Data, p, errorTooBig, mtu, out)
}

// toGroup sends a packet to a group or broadcast address. It needs no neighbour.
func (v *Family) toGroup(in int, f *Frame, p *packet, to MAC, out *Out) {
	send := func(f *Frame) {
		setMACs(f.Data, to, out.uplink.mac)
		out.Send(PortUplink, *f)
	}
	switch {
	case trimToFit(f, p, out.uplink.mtu):
		send(f)
	case p.dontFragment || f.Offload.GSOType != vnet.GSONone:
		out.Drop(TooBig)
		v.reportTooBig(in, f, p, out.uplink.mtu, out)
	default:
		out.fragment(f, out.uplink.mtu, send)
	}
}
