package vswitch

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// The ports of a Delegate, in the order in which its Switch has them.
const (
	PortGuest  = iota // the guest's interface
	PortUplink        // the pod interface
	PortPod           // the endpoint with the pod address on the wire: ARP, ICMP echo, kept ports
	PortServer        // the endpoint that serves the guest: DHCP, DNS
	delegatePorts
)

// A Holder is the party that answers for the pod address. The zero value is HolderKernel.
type Holder int32

// The holders.
const (
	HolderKernel Holder = iota // the pod's kernel, as the network plugin configured it
	HolderSwitch               // the pod endpoint
	HolderGuest                // the guest; the pod endpoint still answers ARP and kept ports
)

// String returns kernel, switch or guest.
func (h Holder) String() string { return [...]string{"kernel", "switch", "guest"}[h] }

// Delegate is the forwarder of IP mode: the pod address moves to the guest, and the switch is the guest's only neighbour. It
// implements Forwarder for a Switch with the four ports above.
//
// Frames from the guest (fromGuest), in this order:
//
//  1. Validate: an Ethernet header. Remove priority tags. Then validate the offload header, which must fit the frame, and the source
//     MAC, which one station can have.
//  2. Check the ethertype: ARP or IPv4, without VLAN tags. Then check the pinned MAC, if there is one.
//  3. ARP: answer every request with the router MAC, except requests for the guest's own address, probes and announcements.
//  4. IPv4: validate the packet. Send DHCP requests to the server, and drop other DHCP, except replies to a relay. The source must be
//     the pod address, the guest must be its holder, and the packet must not belong to a kept port: neither as its source nor as the
//     subject of an ICMP error.
//  5. Send packets for the server's address to the server.
//  6. Send the rest to the wire (toWire): drop loopback, "this network" and the pod address; apply the rules; look up the next hop
//     in the captured routes; check the size; resolve the next hop's MAC; set the wire MAC as the source.
//
// Frames from the wire (fromWire), in this order:
//
//  1. Validate: an Ethernet header. Drop own frames that a hairpin port reflects. Remove priority tags. Then validate the offload
//     header and the source MAC, which one station can have, unless the link has no ARP.
//  2. Check the ethertype: ARP or IPv4, without VLAN tags.
//  3. ARP: learn neighbours; send requests for the pod address to the pod endpoint.
//  4. IPv4: validate the packet. Drop DHCP, except requests of a relay to the pod address. Drop the sources that no other host
//     may use; a packet may exceed the link's MTU, as a host receives it. Decide by the
//     destination IP, whatever the destination MAC: groups and broadcasts go to the guest, other destinations than the pod
//     address nowhere.
//  5. Send packets to kept ports, and ICMP errors about those, to the pod endpoint.
//  6. Send the rest to the guest if it is the holder. If the switch is, send only ICMP echo to the pod endpoint, and TCP and UDP if the
//     endpoint refuses them.
//
// Frames from the pod endpoint (fromPod) are dropped while the kernel is the holder, and then validated like those of the wire, with any
// source MAC. ARP frames are sent with the wire MAC; IPv4 with the pod address as its source goes to the wire, except DHCP. Frames from the server
// (fromServer) go to the guest.
//
// All methods except Resume may be called concurrently.
type Delegate struct {
	cfg        DelegateConfig
	address    uint32 // the pod address
	broadcast  uint32 // directed broadcast address of its prefix; 0 if it has none
	server     uint32
	rules      ruleTable
	neighbours *neighbours
	kept       [1 << 16 / 64]uint64 // bitmap of TCP ports
	uplink     atomic.Pointer[uplink]

	holder     atomic.Int32
	isExpected atomic.Bool // the guest: ExpectGuest

	using    sync.Mutex    // guards writing the following; recordUse describes how they are read without it
	guestMAC atomic.Uint64 // key of the MAC that uses the pod address at the guest port; 0: not known yet
	lastUse  atomicTime    // when that MAC last used the pod address
}

// DelegateConfig configures a Delegate. WireMAC, RouterMAC, Address, Server, MTU and GuestMTU are required. Addresses are IPv4; routes
// and rules of other families are ignored.
type DelegateConfig struct {
	WireMAC   MAC          // MAC of the pod interface
	RouterMAC MAC          // MAC that the guest sees for everything except itself
	PinnedMAC MAC          // the only MAC that the guest may use; the zero MAC: any
	Address   netip.Prefix // the pod address with the prefix length that the plugin configured
	Gateway   netip.Addr   // source of ICMP errors to the guest; the zero Addr: Server
	Server    netip.Addr   // address of the DHCP server
	MTU       int          // of the pod interface: largest IP packet in bytes
	GuestMTU  int          // of the guest's interface in bytes; the MSS of TCP connections towards the guest is clamped to it
	Routes    []Route      // of the pod interface; without a matching one a packet is dropped as NoRoute
	Permanent []Neighbour  // permanent neighbours of the pod's kernel, which are not resolved by ARP
	NoARP     bool         // the link has no ARP and no useful MACs: frames leave with the wire MAC as source and destination
	KeptTCP   []uint16     // TCP ports of the pod address that stay with the pod's own processes
	Rules     []Rule       // what the guest may reach; the first match decides, and without a match the guest may
	Refuse    bool         // while the switch is the holder, the pod endpoint gets TCP and UDP for the pod address, and refuses them
	// OnUse is called when the guest uses the pod address while it is not the holder. It must not block. It may be nil.
	OnUse func()
}

// NewDelegate returns a forwarder whose holder is HolderSwitch. It panics if Address or Server is not an IPv4 address.
func NewDelegate(cfg DelegateConfig) *Delegate {
	address := ipKey(cfg.Address.Addr())
	d := &Delegate{
		cfg:     cfg,
		address: address,
		server:  ipKey(cfg.Server),
		rules:   newRuleTable(cfg.Rules),
	}
	u := newUplink(&cfg)
	d.uplink.Store(u)
	d.neighbours = newNeighbours(address, u.mac, cfg.Permanent, u.gateways)
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
	out.uplink = d.uplink.Load()
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

// Tick implements Forwarder: it repeats ARP requests, drops the frames that wait for a next hop that does not answer, and sends ICMP
// host unreachable to the guest for those.
func (d *Delegate) Tick(now time.Duration, out *Out) {
	out.uplink = d.uplink.Load()
	d.neighbours.tick(now, out, func(f heldFrame) {
		var p packet
		if f.port == PortGuest && p.parse(f.Data) {
			d.sendICMPError(PortGuest, f.Data, &p, codeHostUnreachable, 0, out)
		}
	})
}

// isBroadcast reports whether ip is the limited broadcast address or the directed one of the pod's subnet.
func (d *Delegate) isBroadcast(ip uint32) bool {
	return ip == limitedBroadcast || ip == d.broadcast && d.broadcast != 0
}

func (d *Delegate) guest() MAC { return macFromKey(d.guestMAC.Load()) }

func (d *Delegate) isKept(port uint16) bool { return d.kept[port/64]&(1<<(port%64)) != 0 }

func (d *Delegate) isHeldBy(h Holder) bool { return Holder(d.holder.Load()) == h }

// fromPod handles one frame from the pod endpoint; Delegate's comment has the steps.
func (d *Delegate) fromPod(f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < ethernetLen {
		out.Drop(Short)
		return
	}
	if d.isHeldBy(HolderKernel) {
		out.Drop(NotHolder)
		return
	}
	if reason, ok := normalize(f, true); !ok {
		out.Drop(reason)
		return
	}
	var p packet
	switch {
	case ethertype(f.Data) == typeARP:
		arpFromPod(f, out)
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

// fromServer sends a frame from the server to its destination MAC, or, if that is zero, to the MAC that uses the pod address.
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
