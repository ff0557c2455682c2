package vswitch

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podswitch/podswitch/vnet"
)

// The ports of a Delegate, in the order in which its Switch has them.
const (
	PortGuest  = iota // the guest's one interface
	PortUplink        // the pod interface
	PortPod           // the endpoint that holds the pod address on the wire: ARP, ICMP echo, kept ports
	PortServer        // the endpoint that serves the guest: DHCP, DNS
	delegatePorts
)

// A Holder says who answers for the pod address.
type Holder int32

// The holders.
const (
	HolderKernel Holder = iota // as the plugin left it
	HolderSwitch               // the pod endpoint
	HolderGuest                // the guest; the pod endpoint still answers ARP and kept ports
)

// String returns kernel, switch or guest.
func (h Holder) String() string { return [...]string{"kernel", "switch", "guest"}[h] }

// Delegate is the forwarder of IP mode: the pod address moves to the guest, and the switch is the guest's only neighbour.
//
// What the guest sends, in this order (fromGuest):
//
//  1. validate: an Ethernet header, an offload header that fits, a station's source MAC
//  2. ethertype: ARP and IPv4; no VLAN tags; then the pinned MAC, if there is one
//  3. ARP: every address but the guest's own is at the router MAC; probes and announcements get no answer
//  4. IPv4: validate; DHCP goes to the server; the source must be the pod address, the guest its holder, and no kept port the
//     source, or that of a packet which an ICMP error is about
//  5. to the server's address: to the server
//  6. to the wire (toWire): nothing for loopback, "this network" or the pod address; what the guest may reach; then next hop
//     by the captured routes, size, next hop's MAC; source MAC is the wire MAC
//
// What the wire sends, in this order (fromWire):
//
//  1. validate: an Ethernet header; then our own frames, reflected by a hairpin, are dropped; then the offload header
//  2. ethertype: ARP and IPv4; no VLAN tags
//  3. ARP: requests for the pod address go to the pod endpoint; what else is about neighbours is noted, and goes no further
//  4. IPv4: validate; no DHCP; not larger than the link's MTU; not from the pod address, the server's, or one that no host has;
//     judged by destination IP, whatever the destination MAC
//  5. kept ports, and ICMP errors about them, go to the pod endpoint
//  6. the rest goes to the holder: all of it to the guest, or ICMP echo to the pod endpoint
//
// What the pod endpoint sends (fromPod) is validated like the guest's; ARP leaves as it is, and IPv4 from the pod address, but
// for DHCP, goes to the wire. What the server says (fromServer) goes to the guest.
type Delegate struct {
	cfg        DelegateConfig
	address    uint32 // the pod address
	broadcast  uint32 // directed broadcast of its prefix; 0 if it has none
	server     uint32
	router     uint32 // source of ICMP errors to the guest
	routes     routeTable
	rules      ruleTable
	neighbours *neighbours
	kept       [1 << 16 / 64]uint64 // bitmap of TCP ports

	holder   atomic.Int32
	using    sync.Mutex    // guards writing the following
	guestMAC atomic.Uint64 // who uses the pod address at the guest port; 0: nobody yet
	heard    atomicTime    // when guestMAC last used the address
}

// DelegateConfig configures a Delegate.
type DelegateConfig struct {
	WireMAC   MAC          // the pod interface's
	RouterMAC MAC          // what the guest sees for everything that is not itself
	PinnedMAC MAC          // the only MAC that the guest may have; the zero MAC: any
	Address   netip.Prefix // the pod address with the plugin's prefix length
	Gateway   netip.Addr   // source of ICMP errors to the guest; the zero Addr: Server
	Server    netip.Addr   // the DHCP server's address
	MTU       int          // of the pod interface: largest IP packet in bytes
	GuestMTU  int          // what the guest was told; TCP towards it is clamped to this
	Routes    []Route
	Permanent []Neighbour // the kernel's permanent neighbours: some plugins answer no ARP
	NoARP     bool        // the link has no ARP and no useful MACs: frames go out with the wire MAC at both ends
	KeptTCP   []uint16    // TCP ports of the pod address that stay with the pod
	Rules     []Rule      // what the guest may not reach, in this order; what no rule is about, it may
	// OnUse is called when the guest uses the pod address while it is not the holder. It must not block. It may be nil.
	OnUse func()
}

// NewDelegate returns the forwarder with the switch as holder.
func NewDelegate(cfg DelegateConfig) *Delegate {
	address := ipKey(cfg.Address.Addr())
	d := &Delegate{
		cfg:     cfg,
		address: address,
		server:  ipKey(cfg.Server),
		router:  ipKey(cfg.Server),
		routes:  newRouteTable(cfg.Routes, cfg.MTU),
		rules:   newRuleTable(cfg.Rules),
	}
	d.neighbours = newNeighbours(address, cfg.WireMAC, cfg.Permanent, d.routes.gateways())
	if cfg.Gateway.Is4() {
		d.router = ipKey(cfg.Gateway)
	}
	if bits := cfg.Address.Bits(); bits < 31 {
		d.broadcast = address | ^uint32(0)>>bits
	}
	for _, port := range cfg.KeptTCP {
		d.kept[port/64] |= 1 << (port % 64)
	}
	d.holder.Store(int32(HolderSwitch))
	d.guestMAC.Store(cfg.PinnedMAC.key())
	return d
}

// Forward implements Forwarder.
func (d *Delegate) Forward(in int, batch []Frame, now time.Duration, out *Out) {
	for i := range batch {
		f := &batch[i]
		switch in {
		case PortGuest:
			d.fromGuest(f, now, out)
		case PortUplink:
			d.fromWire(f, now, out)
		case PortPod:
			d.fromPod(f, now, out)
		case PortServer:
			d.fromServer(f, out)
		}
	}
}

// Tick implements Forwarder: it repeats neighbour requests and tells the guest of next hops that do not answer.
func (d *Delegate) Tick(now time.Duration, out *Out) {
	d.neighbours.tick(now, out, func(f heldFrame) {
		var p packet
		if f.port == PortGuest && p.parse(f.Data) {
			d.sendICMPError(PortGuest, f.Data, &p, codeHostUnreachable, 0, out)
		}
	})
}

// isBroadcast tells whether ip is everybody's, or everybody's in the pod's subnet.
func (d *Delegate) isBroadcast(ip uint32) bool {
	return ip == 0xffffffff || ip == d.broadcast && d.broadcast != 0
}

func (d *Delegate) guest() MAC { return macFromKey(d.guestMAC.Load()) }

func (d *Delegate) isKept(port uint16) bool { return d.kept[port/64]&(1<<(port%64)) != 0 }

func (d *Delegate) held(h Holder) bool { return Holder(d.holder.Load()) == h }

// toWire sends an IPv4 frame from the guest or the pod endpoint to its next hop.
func (d *Delegate) toWire(in int, f *Frame, p *packet, now time.Duration, out *Out) {
	switch {
	case isMartian(p.target):
		out.Drop(Martian)
	case p.target == d.address:
		out.Drop(Hairpin)
	case in == PortGuest && d.rules.deny(p, f.Data):
		out.Drop(Denied)
		d.sendICMPError(in, f.Data, p, codeProhibited, 0, out)
	case isMulticastIP(p.target):
		d.groupToWire(f, p, multicastMAC(p.target), out)
	case d.isBroadcast(p.target):
		d.groupToWire(f, p, Broadcast, out)
	default:
		d.toHost(in, f, p, now, out)
	}
}

// toHost sends to one host: next hop, size, neighbour.
func (d *Delegate) toHost(in int, f *Frame, p *packet, now time.Duration, out *Out) {
	nextHop, mtu, ok := d.routes.lookup(p.target)
	if !ok {
		out.Drop(NoRoute)
		d.sendICMPError(in, f.Data, p, codeNetUnreachable, 0, out)
		return
	}
	fits := fit(f, p, mtu)
	if !fits && (p.dontFragment || f.Offload.GSOType != vnet.GSONone) {
		out.Drop(TooBig)
		d.sendICMPError(in, f.Data, p, codeFragmentNeeded, mtu, out)
		return
	}
	if !fits {
		out.fragment(f, mtu, func(piece *Frame) { d.toNextHop(in, nextHop, piece, now, out) })
		return
	}
	clampMSS(f, p, mtu)
	d.toNextHop(in, nextHop, f, now, out)
}

// toNextHop sends a frame that fits to a neighbour on the wire.
func (d *Delegate) toNextHop(in int, nextHop uint32, f *Frame, now time.Duration, out *Out) {
	mac, ok := d.cfg.WireMAC, true // what the kernel does for a link without ARP: net/ipv4/arp.c, arp_constructor
	if !d.cfg.NoARP {
		mac, ok = d.neighbours.resolve(in, nextHop, f, now, out)
	}
	if ok {
		setMACs(f.Data, mac, d.cfg.WireMAC)
		out.Send(PortUplink, *f)
	}
}

// groupToWire sends to a group or to everyone: nobody has to be found first, and nobody is told what does not fit.
func (d *Delegate) groupToWire(f *Frame, p *packet, to MAC, out *Out) {
	send := func(f *Frame) {
		setMACs(f.Data, to, d.cfg.WireMAC)
		out.Send(PortUplink, *f)
	}
	switch {
	case fit(f, p, d.cfg.MTU):
		send(f)
	case p.dontFragment || f.Offload.GSOType != vnet.GSONone:
		out.Drop(TooBig)
	default:
		out.fragment(f, d.cfg.MTU, send)
	}
}

// fromPod handles what the pod endpoint sends: its ARP replies as they are, its IPv4 by the captured routes.
func (d *Delegate) fromPod(f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < ethernetLen {
		out.Drop(Short)
		return
	}
	if d.held(HolderKernel) {
		out.Drop(NotHolder)
		return
	}
	if reason, bad := badFrame(f, true); bad {
		out.Drop(reason)
		return
	}
	var p packet
	switch {
	case ethertype(f.Data) == typeARP:
		out.Send(PortUplink, *f)
	case !p.parse(f.Data):
		out.Drop(BadIPv4)
	case p.isDHCP():
		out.Drop(DHCP)
	case p.source != d.address:
		out.Drop(ForeignSource)
	default:
		d.toWire(PortPod, f, &p, now, out)
	}
}

// fromServer sends what the server says to the guest. A frame without a destination is for the one who uses the pod address.
func (d *Delegate) fromServer(f *Frame, out *Out) {
	if len(f.Data) < ethernetLen {
		out.Drop(Short)
		return
	}
	to := destination(f.Data)
	if to.IsZero() {
		to = d.guest()
	}
	if to.IsZero() {
		out.Drop(Unresolved)
		return
	}
	setMACs(f.Data, to, d.cfg.RouterMAC)
	out.Send(PortGuest, *f)
}
