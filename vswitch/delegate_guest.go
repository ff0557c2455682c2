package vswitch

import (
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
	"github.com/podswitch/podswitch/vnet"
)

// fromGuest handles one frame from the guest; Delegate's comment has the steps.
func (d *Delegate) fromGuest(f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < packet.EthernetLen {
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
	kind := packet.Ethertype(f.Data)
	v := d.familyOf(kind)
	if v == nil {
		out.Drop(Ethertype)
		return
	}
	if !d.cfg.PinnedMAC.IsZero() && sender(f.Data) != d.cfg.PinnedMAC {
		out.dropFor(ForeignMAC, offendingMAC(sender(f.Data)))
		return
	}
	if kind == packet.TypeARP {
		v.arpFromGuest(f, now, out)
		return
	}
	v.ipFromGuest(f, now, out)
}

func (v *Family) arpFromGuest(f *Frame, now time.Duration, out *Out) {
	a := packet.ParseARP(f.Data)
	if a == nil {
		out.Drop(BadARP)
		return
	}
	if a.SenderIP() == v.address && a.SenderMAC() == sender(f.Data) {
		v.use(sender(f.Data), now, true) // exactly: this may be the answer to a probe whose time is compared with it
	}
	// A probe has no sender address (RFC 5227, section 1.1), an announcement has its own address as the target, and a request
	// for the pod address is about the guest itself.
	if a.Operation() != packet.ARPRequest || a.SenderIP() == (lookup.Key{}) || a.TargetIP() == a.SenderIP() || a.TargetIP() == v.address {
		out.Drop(OwnARP)
		return
	}
	a.Answer(f.Data, v.cfg.RouterMAC)
	out.Send(PortGuest, *f)
}

func (v *Family) ipFromGuest(f *Frame, now time.Duration, out *Out) {
	var p packet.Packet
	switch {
	case !p.Parse(f.Data):
		out.Drop(v.badPacket)
	case p.IsControl(f.Data):
		v.controlFromGuest(f, &p, now, out)
	case p.IsDHCP() && !v.isRelayed(f, &p, packet.BootReply):
		v.dhcpFromGuest(f, &p, out)
	case v.isIPv6 && p.Source.IsLinkLocal():
		v.linkLocalFromGuest(f, &p, out)
	case p.Source != v.address:
		out.dropFor(ForeignSource, offendingIP(p.Source, v.isIPv6))
	case !v.isHeldBy(HolderGuest) && !v.becomesHolder(sender(f.Data), now):
		out.Drop(NotHolder)
	case v.isAboutKept(f.Data, &p, now) || v.isOfEgress(&p, now):
		out.dropFor(KeptPort, offendingNumber(p.SourcePort))
		v.sendICMPError(PortGuest, f.Data, &p, errorProhibited, 0, out) // else a connection from this port would wait for its timeout
	case p.Target == v.server:
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
func (v *Family) isAboutKept(frame []byte, p *packet.Packet, now time.Duration) bool {
	if p.FirstFragment && v.kept.has(p.Protocol, p.SourcePort) {
		return true
	}
	if len(v.cfg.KeptTCP)+len(v.cfg.KeptUDP) == 0 && v.egress == nil || !p.IsError(frame) {
		return false
	}
	q, ok := p.Quoted(frame)
	return !ok || p.Fragment || q.Target == v.address &&
		(v.kept.has(q.Protocol, q.TargetPort) || v.egress.has(q.Protocol, q.TargetPort, q.Source, q.SourcePort, now))
}

// dhcpFromGuest sends a DHCP client's messages to the server and drops other DHCP.
func (v *Family) dhcpFromGuest(f *Frame, p *packet.Packet, out *Out) {
	port, all := uint16(packet.DHCPServerPort), lookup.LimitedBroadcast
	if v.isIPv6 {
		port, all = packet.DHCPv6ServerPort, dhcpServers
	}
	if p.TargetPort != port || p.Target != all && p.Target != v.server {
		out.Drop(DHCP)
		return
	}
	v.toServer(f, out)
}

// linkLocalFromGuest sends packets between the guest's link-local address and the router's to the server, and no others.
func (v *Family) linkLocalFromGuest(f *Frame, p *packet.Packet, out *Out) {
	if p.Target != v.server {
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

// toWire sends an IP packet from the guest or the pod endpoint towards its destination.
func (v *Family) toWire(in int, f *Frame, p *packet.Packet, now time.Duration, out *Out) {
	switch {
	case p.Target.IsMartian(v.isIPv6):
		out.Drop(Martian)
	case v.isIPv6 && p.Target.IsLinkLocal():
		out.Drop(LinkLocal)
	case p.Target == v.address:
		out.Drop(Hairpin)
	case (in == PortGuest || p.Protocol == packet.ProtocolUDP) && v.rules.deny(p, f.Data):
		out.dropFor(Denied, offendingIP(p.Target, v.isIPv6))
		v.sendICMPError(in, f.Data, p, errorProhibited, 0, out)
	case p.Target.IsGroup(v.isIPv6):
		v.toGroup(in, f, p, p.Target.GroupMAC(v.isIPv6), out)
	case v.isBroadcast(p.Target):
		v.toGroup(in, f, p, Broadcast, out)
	default:
		v.toHost(in, f, p, now, out)
	}
}

// toHost sends a packet to one host: next hop, size, neighbour.
func (v *Family) toHost(in int, f *Frame, p *packet.Packet, now time.Duration, out *Out) {
	nextHop, r := out.uplink.of(v).routes.lookup(p.Target)
	if r == nil {
		out.dropFor(NoRoute, offendingIP(p.Target, v.isIPv6))
		v.sendICMPError(in, f.Data, p, errorNoRoute, 0, out)
		return
	}
	fits := trimToFit(f, p, r.mtu)
	if !fits && (p.DontFragment || f.Offload.GSOType != vnet.GSONone) {
		out.Drop(TooBig)
		v.reportTooBig(in, f, p, r.mtu, out)
		return
	}
	if !fits {
		out.fragment(f, r.mtu, func(piece *Frame) { v.toNextHop(in, nextHop, piece, now, out) })
		return
	}
	p.ClampMSS(&f.Offload, f.Data, r.mss)
	v.toNextHop(in, nextHop, f, now, out)
}

// toNextHop sends a frame that fits to a neighbour on the wire.
func (v *Family) toNextHop(in int, nextHop lookup.Key, f *Frame, now time.Duration, out *Out) {
	mac, ok := out.uplink.mac, true // as Linux does on a link without ARP: net/ipv4/arp.c, arp_constructor
	if !v.cfg.NoARP {
		mac, ok = v.neighbours.resolve(in, nextHop, f, now, out)
	}
	if ok {
		packet.SetMACs(f.Data, mac, out.uplink.mac)
		out.Send(PortUplink, *f)
	}
}

// reportTooBig tells the sender of a packet that it does not fit. In IPv6, no path has less than minMTU.
func (v *Family) reportTooBig(in int, f *Frame, p *packet.Packet, mtu int, out *Out) {
	if v.isIPv6 {
		mtu = max(mtu, minMTU)
	}
	v.sendICMPError(in, f.Data, p, errorTooBig, mtu, out)
}

// toGroup sends a packet to a group or broadcast address. It needs no neighbour.
func (v *Family) toGroup(in int, f *Frame, p *packet.Packet, to MAC, out *Out) {
	send := func(f *Frame) {
		packet.SetMACs(f.Data, to, out.uplink.mac)
		out.Send(PortUplink, *f)
	}
	switch {
	case trimToFit(f, p, out.uplink.mtu):
		send(f)
	case p.DontFragment || f.Offload.GSOType != vnet.GSONone:
		out.Drop(TooBig)
		v.reportTooBig(in, f, p, out.uplink.mtu, out)
	default:
		out.fragment(f, out.uplink.mtu, send)
	}
}
