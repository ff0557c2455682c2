package vswitch

import (
	"bytes"
	"slices"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
	"github.com/podswitch/podswitch/vnet"
)

// An uplink is what a Delegate knows of the pod interface. It does not change; SetUplink replaces it as a whole. Forward and Tick read
// it once, so that one batch is decided with one uplink.
type uplink struct {
	mac        MAC // the wire MAC
	mtu        int
	ipv4, ipv6 paths
	// advertisement is that of the configuration.
	advertisement []byte
}

// paths is the part of an uplink for one family.
type paths struct {
	guestMSS int        // of TCP connections towards the guest
	router   lookup.Key // source of ICMP errors to the guest
	routes   routeTable
	gateways map[lookup.Key]bool
}

func newUplink(cfg *DelegateConfig) *uplink {
	u := &uplink{mac: cfg.WireMAC, mtu: cfg.MTU, ipv4: newPaths(cfg, false), ipv6: newPaths(cfg, true)}
	u.advertisement, u.ipv6.router = cfg.Advertisement, lookup.KeyOf(cfg.RouterMAC.LinkLocal())
	u.ipv4.router = lookup.KeyOf(cfg.Server)
	if cfg.Gateway.Is4() {
		u.ipv4.router = lookup.KeyOf(cfg.Gateway)
	}
	return u
}

func newPaths(cfg *DelegateConfig, isIPv6 bool) paths {
	routes := newRouteTable(cfg.Routes, cfg.MTU, isIPv6)
	return paths{guestMSS: packet.MSSOf(cfg.GuestMTU, isIPv6), routes: routes, gateways: routes.gateways()}
}

// of returns the part for a family.
func (u *uplink) of(v *Family) *paths {
	if v.isIPv6 {
		return &u.ipv6
	}
	return &u.ipv4
}

// isOnLink reports whether a host is a neighbour by the routes.
func (u *paths) isOnLink(ip lookup.Key) bool {
	nextHop, r := u.routes.lookup(ip)
	return r != nil && nextHop == ip || u.gateways[ip]
}

// SetUplink replaces WireMAC, Gateway, MTU, GuestMTU, Routes, Permanent and Advertisement of the configuration by those of cfg, and ignores the rest of it.
// Frames that are being forwarded may still be decided with the values before. Learned neighbours stay. The next Tick announces a changed
// wire MAC, as a kernel does with arp_notify. It may be called at any time, from one goroutine at a time.
func (d *Delegate) SetUplink(cfg DelegateConfig) {
	before, u := d.uplink.Load(), newUplink(&cfg)
	d.uplink.Store(u)
	if d.IPv6 != nil && !bytes.Equal(before.advertisement, u.advertisement) {
		d.IPv6.Advertise()
	}
	for _, v := range d.Families() {
		v.neighbours.setUplink(u.mac, u.of(v).gateways, cfg.Permanent, before.mac != u.mac && !d.cfg.NoARP)
	}
}

// TooBig answers a packet that the uplink has refused because of its size, with the MTU of its path, if DF is set or it is IPv6: the guest or the pod endpoint has sent
// it. It changes the frame. It reports false if the packet fits into the known MTU: the MTU of the device has been lowered, and SetUplink
// has not been called yet.
func (d *Delegate) TooBig(frame []byte, out *Out) (isKnown bool) {
	out.uplink = d.uplink.Load()
	p, f := packet.Packet{}, Frame{Data: frame}
	if len(frame) < packet.EthernetLen {
		return true
	}
	v := d.familyOf(packet.Ethertype(frame))
	if v == nil || packet.Ethertype(frame) != v.ethertype || !p.Parse(frame) || !p.DontFragment {
		return true
	}
	_, r := out.uplink.of(v).routes.lookup(p.Target)
	if r == nil {
		return true
	}
	if trimToFit(&f, &p, r.mtu) {
		return false
	}
	port, to := PortGuest, v.guest()
	if v.kept.has(p.Protocol, p.SourcePort) || v.egress.has(p.Protocol, p.SourcePort, p.Target, p.TargetPort, 0) { // at time 0 no flow is over
		port, to = PortPod, out.uplink.mac
	}
	packet.SetMACs(frame, d.cfg.RouterMAC, to)
	v.reportTooBig(port, &f, &p, r.mtu, out)
	return true
}

// setUplink leaves the questions as they are. The frames that wait for a neighbour that is now permanent leave with the next tick.
func (n *neighbours) setUplink(mac MAC, gateways map[lookup.Key]bool, permanent []Neighbour, announces bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ip, q := range n.questions {
		switch {
		case n.gateways[ip] && !gateways[ip]:
			n.asked[q.port]++
		case !n.gateways[ip] && gateways[ip]:
			n.asked[q.port]--
		}
	}
	n.mac, n.gateways, n.announces = mac, gateways, n.announces || announces
	n.setPermanentLocked(permanent)
}

func (n *neighbours) setPermanentLocked(permanent []Neighbour) {
	permanent = slices.DeleteFunc(slices.Clone(permanent), func(p Neighbour) bool { return !lookup.IsOf(p.Addr, n.isIPv6) })
	stays := make(map[lookup.Key]bool, len(permanent))
	for _, p := range permanent {
		stays[lookup.KeyOf(p.Addr)] = true
	}
	n.table.Remove(func(e lookup.Entry) bool { return neighbourValue(e.Value).isPermanent() && !stays[e.Key] })
	for _, p := range permanent {
		if !n.table.Set(p.entry()) {
			n.makeRoomLocked(true)
			n.table.Set(p.entry())
		}
	}
}

func (n Neighbour) entry() lookup.Entry {
	return lookup.Entry{Key: lookup.KeyOf(n.Addr), Value: uint64(neighbourValue(n.MAC.key()) | permanentFlag)}
}

// announceLocked tells the neighbours of a changed wire MAC: by an ARP announcement (RFC 5227, section 3) or an unsolicited neighbour
// advertisement (RFC 4861, section 7.2.6).
func (n *neighbours) announceLocked(out *Out) {
	if !n.announces {
		return
	}
	if n.isIPv6 {
		d := vnet.Discovery{Type: vnet.NeighbourAdvertisement, Flags: vnet.DiscoveryOverride, Target: n.address.Bytes(), MAC: n.mac}
		n.announces = !sendDiscovery(PortUplink, &d, allNodes.GroupMAC(true), n.address, allNodes, out)
		return
	}
	n.announces = !n.sendRequest(Broadcast, n.address, out)
}

// arpFromPod sends an ARP frame of the pod endpoint, which does not know of a changed wire MAC.
func arpFromPod(f *Frame, out *Out) {
	packet.SetMACs(f.Data, destination(f.Data), out.uplink.mac)
	if a := packet.ParseARP(f.Data); a != nil {
		copy(a[8:14], out.uplink.mac[:])
	}
	out.Send(PortUplink, *f)
}
