package vswitch

// An uplink is what a Delegate knows of the pod interface. It does not change; SetUplink replaces it as a whole. Forward and Tick read
// it once, so that one batch is decided with one uplink.
type uplink struct {
	mac      MAC // the wire MAC
	mtu      int
	guestMSS int    // of TCP connections towards the guest
	router   uint32 // source of ICMP errors to the guest
	routes   routeTable
	gateways map[uint32]bool
}

func newUplink(cfg *DelegateConfig) *uplink {
	u := &uplink{mac: cfg.WireMAC, mtu: cfg.MTU, guestMSS: mssOf(cfg.GuestMTU), router: ipKey(cfg.Server), routes: newRouteTable(cfg.Routes, cfg.MTU)}
	u.gateways = u.routes.gateways()
	if cfg.Gateway.Is4() {
		u.router = ipKey(cfg.Gateway)
	}
	return u
}

// isOnLink reports whether a host is a neighbour by the routes.
func (u *uplink) isOnLink(ip uint32) bool {
	nextHop, r := u.routes.lookup(ip)
	return r != nil && nextHop == ip || u.gateways[ip]
}

// SetUplink replaces WireMAC, Gateway, MTU, GuestMTU, Routes and Permanent of the configuration by those of cfg, and ignores the rest of it.
// Frames that are being forwarded may still be decided with the values before. Learned neighbours stay. The next Tick announces a changed
// wire MAC, as a kernel does with arp_notify. It may be called at any time, from one goroutine at a time.
func (d *Delegate) SetUplink(cfg DelegateConfig) {
	before, u := d.uplink.Load(), newUplink(&cfg)
	d.uplink.Store(u)
	d.neighbours.setUplink(u, cfg.Permanent, before.mac != u.mac && !d.cfg.NoARP)
}

// setUplink leaves the questions as they are. The frames that wait for a neighbour that is now permanent leave with the next tick.
func (n *neighbours) setUplink(u *uplink, permanent []Neighbour, announces bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ip, q := range n.questions {
		switch {
		case n.gateways[ip] && !u.gateways[ip]:
			n.asked[q.port]++
		case !n.gateways[ip] && u.gateways[ip]:
			n.asked[q.port]--
		}
	}
	n.mac, n.gateways, n.announces = u.mac, u.gateways, n.announces || announces
	n.setPermanentLocked(permanent)
}

func (n *neighbours) setPermanentLocked(permanent []Neighbour) {
	stays := make(map[uint64]bool, len(permanent))
	for _, p := range permanent {
		stays[p.entry().key] = true
	}
	n.table.remove(func(e entry) bool { return neighbourValue(e.value).isPermanent() && !stays[e.key] })
	for _, p := range permanent {
		if !n.table.set(p.entry()) {
			n.makeRoomLocked(true)
			n.table.set(p.entry())
		}
	}
}

func (n Neighbour) entry() entry {
	return entry{key: uint64(ipKey(n.Addr)), value: uint64(neighbourValue(n.MAC.key()) | permanentFlag)}
}

// announceLocked sends an ARP announcement (RFC 5227, section 3) if the wire MAC has changed.
func (n *neighbours) announceLocked(out *Out) {
	if !n.announces {
		return
	}
	if b := out.buffer(ethernetLen + arpLen); b != nil {
		writeARP(b, Broadcast, arpRequest, n.mac, n.address, MAC{}, n.address)
		out.Send(PortUplink, Frame{Data: b})
		n.announces = false
	}
}

// arpFromPod sends an ARP frame of the pod endpoint, which does not know of a changed wire MAC.
func arpFromPod(f *Frame, out *Out) {
	setMACs(f.Data, destination(f.Data), out.uplink.mac)
	if a := parseARP(f.Data); a != nil {
		copy(a[8:14], out.uplink.mac[:])
	}
	out.Send(PortUplink, *f)
}
