package vswitch

import (
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
	"github.com/podswitch/podswitch/vnet"
)

// Addresses of IPv6 with a fixed meaning.
var (
	allNodes    = lookup.KeyOf(netip.MustParseAddr("ff02::1"))
	dhcpServers = lookup.KeyOf(netip.MustParseAddr("ff02::1:2")) // RFC 8415, section 7.1
)

// advertiseInterval is the time between unsolicited router advertisements: between the 200 and 600 s of RFC 4861, section 6.2.1. It is not
// random, because the guest has no other router.
const advertiseInterval = 400 * time.Second

// dropControl drops a message that isControl has selected as one of MLD, or for another reason.
func dropControl(message uint8, other Reason, out *Out) {
	switch message {
	case 130, 131, 132, 143, 151, 152, 153:
		out.Drop(MLD)
	default:
		out.Drop(other)
	}
}

// parseDiscovery returns a validated message for the switch. Otherwise it drops the frame, messages of other types under the given reason.
func parseDiscovery(f *Frame, p *packet.Packet, other Reason, out *Out) (d vnet.Discovery, ok bool) {
	vnet.Complete(f.Offload, f.Data)
	switch t := f.Data[p.Transport]; t {
	case vnet.RouterSolicitation, vnet.NeighbourSolicitation, vnet.NeighbourAdvertisement:
		if d, ok = vnet.ParseDiscovery(f.Data[packet.EthernetLen:p.End]); !ok {
			out.Drop(BadND)
		}
	default:
		dropControl(t, other, out)
	}
	return d, ok
}

// controlFromGuest answers router solicitations, and neighbour solicitations for all targets but the guest's own addresses. It never answers
// duplicate address detection, except for the router's address.
func (v *Family) controlFromGuest(f *Frame, p *packet.Packet, now time.Duration, out *Out) {
	d, ok := parseDiscovery(f, p, OwnND, out)
	if !ok {
		return
	}
	target, to := lookup.Key6(d.Target[:]), sender(f.Data)
	isAnswer := d.Type == vnet.NeighbourAdvertisement
	if p.Source == v.address || isAnswer && target == v.address && (MAC(d.MAC).IsZero() || MAC(d.MAC) == to) {
		v.use(to, now, true) // exactly: this may be the answer to a probe whose time is compared with it
	}
	switch {
	case d.Type == vnet.RouterSolicitation && out.uplink.advertisement != nil:
		v.sendAdvertisement(to, p.Source, out)
	case d.Type != vnet.NeighbourSolicitation, p.Source == lookup.Key{} && target != v.server, target == v.address, target == p.Source:
		out.Drop(OwnND)
	default:
		v.answer(PortGuest, &d, to, p.Source, v.cfg.RouterMAC, vnet.DiscoveryRouter, out)
	}
}

// controlFromWire answers neighbour solicitations for the pod address, those of another host's duplicate address detection included, unless
// the kernel is the holder or the link has no ARP. It learns neighbours from solicitations and advertisements.
func (v *Family) controlFromWire(f *Frame, p *packet.Packet, now time.Duration, out *Out) {
	d, ok := parseDiscovery(f, p, ForeignND, out)
	if !ok {
		return
	}
	target, from := lookup.Key6(d.Target[:]), sender(f.Data)
	isAsked := d.Type == vnet.NeighbourSolicitation && target == v.address && p.Source != v.address
	switch {
	case v.cfg.NoARP, // such a link has no neighbours
		d.Type == vnet.RouterSolicitation,                // the pod is no router
		p.Source != lookup.Key{} && v.isMartianSource(p): // no host can have asked
		out.Drop(ForeignND)
	case isAsked && v.isHeldBy(HolderKernel):
		out.Drop(NotHolder)
	case isAsked:
		if mac := MAC(d.MAC); !mac.IsZero() {
			v.neighbours.learn(claim{p.Source, mac, out.uplink.of(v).isOnLink(p.Source), true}, now, out)
		}
		v.answer(PortUplink, &d, from, p.Source, out.uplink.mac, 0, out)
	case target == v.address: // another host claims it
		out.dropFor(ForeignND, offendingMAC(from))
	case d.Type != vnet.NeighbourAdvertisement, MAC(d.MAC).IsZero() && d.Flags&vnet.DiscoverySolicited == 0,
		!v.neighbours.learn(claim{target, MAC(d.MAC), false, d.Flags&vnet.DiscoveryOverride != 0}, now, out):
		out.Drop(ForeignND)
	}
}

// answer sends a neighbour advertisement to the sender of a solicitation: the target is at mac. A sender without an address gets it as all
// nodes do (RFC 4861, section 7.2.4).
func (v *Family) answer(port int, d *vnet.Discovery, to MAC, asker lookup.Key, mac MAC, flags uint8, out *Out) {
	if MAC(d.MAC).isStation() {
		to = d.MAC
	}
	flags |= vnet.DiscoveryOverride | vnet.DiscoverySolicited
	if asker == (lookup.Key{}) {
		to, asker, flags = allNodes.GroupMAC(true), allNodes, flags&^vnet.DiscoverySolicited
	}
	reply := vnet.Discovery{Type: vnet.NeighbourAdvertisement, Flags: flags, Target: d.Target, MAC: mac}
	if !sendDiscovery(port, &reply, to, lookup.Key6(d.Target[:]), asker, out) {
		out.Drop(NoBuffer)
	}
}

// sendDiscovery sends a message in a frame from its link-layer address. It reports false if there is no buffer.
func sendDiscovery(port int, d *vnet.Discovery, to MAC, source, target lookup.Key, out *Out) bool {
	b := out.buffer(packet.EthernetLen + vnet.DiscoveryLen)
	if b == nil {
		return false
	}
	packet.SetHeader(b, to, d.MAC, packet.TypeIPv6)
	d.Put(b[packet.EthernetLen:], source.Bytes(), target.Bytes())
	out.Send(port, Frame{Data: b})
	return true
}

// sendAdvertisement sends a router advertisement to the guest, or to all nodes if the target has no address (RFC 4861, section 6.2.6).
func (v *Family) sendAdvertisement(to MAC, target lookup.Key, out *Out) {
	if target == (lookup.Key{}) {
		to, target = allNodes.GroupMAC(true), allNodes
	}
	message := out.uplink.advertisement
	b := out.buffer(packet.EthernetLen + packet.IPv6Len + len(message))
	if b == nil {
		out.Drop(NoBuffer)
		return
	}
	packet.SetHeader(b, to, v.cfg.RouterMAC, packet.TypeIPv6)
	copy(b[packet.EthernetLen+packet.IPv6Len:], message)
	vnet.PutICMPv6(b[packet.EthernetLen:], 255, v.server.Bytes(), target.Bytes())
	out.Send(PortGuest, Frame{Data: b})
}

// Advertise makes the next Tick send a router advertisement of IPv6 to the guest. Call it when the guest's device has come. A new
// Delegate needs no call.
func (v *Family) Advertise() { v.advertised.clear() }

// advertise sends an unsolicited router advertisement if one is due.
func (v *Family) advertise(now time.Duration, out *Out) {
	last, ok := v.advertised.load()
	if v.isIPv6 && out.uplink.advertisement != nil && (!ok || now-last >= advertiseInterval) {
		v.advertised.store(now)
		v.sendAdvertisement(MAC{}, lookup.Key{}, out)
	}
}

// LinkLocal returns the link-local IPv6 address that follows from m (RFC 4291, appendix A). That of DelegateConfig.RouterMAC is the
// guest's router and server.
func (m MAC) LinkLocal() netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}
