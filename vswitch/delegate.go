package vswitch

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
)

// The ports of a Delegate, in the order in which its Switch has them.
const (
	PortGuest  = iota // the guest's interface
	PortUplink        // the pod interface
	PortPod           // the endpoint with the pod address on the wire: ARP, ICMP echo, kept ports
	PortServer        // the endpoint that serves the guest: DHCP, DNS
	PortEgress        // the pod's own processes, while they have no address on the pod interface; a switch may lack it
	delegatePorts
)

// Delegate is the forwarder of IP mode: the pod address moves to the guest, and the switch is the guest's only neighbour. It
// implements Forwarder for a Switch with the ports above.
//
// Frames from the guest (fromGuest), in this order:
//
//  1. Validate: an Ethernet header. Remove priority tags. Then validate the offload header, which must fit the frame, and the source MAC,
//     which one station can have.
//  2. Check the ethertype: ARP, IPv4 or IPv6, if the pod has an address of the family, without VLAN tags. Then check the pinned MAC, if
//     there is one.
//  3. ARP: answer every request with the router MAC, except requests for the guest's own address, probes and announcements.
//  4. IP: validate the packet. IPv6 neighbour discovery (controlFromGuest): answer solicitations likewise, as a router, and solicitations
//     of routers with the configured advertisement; never duplicate address detection. Drop MLD. Send DHCP requests to the server, and drop
//     other DHCP, except replies of IPv4 to a relay. From an IPv6 link-local address, send only packets for the router, to the server. The
//     source must be the pod address, the guest must be its holder, and the packet must not belong to a kept port: neither as its source
//     nor as the subject of an ICMP error.
//  5. Send packets for the server's address to the server.
//  6. Send the rest to the wire (toWire): drop loopback, "this network", link-local addresses of IPv6 and the pod address; apply the rules;
//     look up the next hop in the captured routes; check the size; resolve the next hop's MAC; set the wire MAC as the source.
//
// Frames from the wire (fromWire), in this order:
//
//  1. Validate: an Ethernet header. Drop own frames that a hairpin port reflects. Remove priority tags. Then validate the offload header
//     and the source MAC, which one station can have, unless the link has no ARP.
//  2. Check the ethertype: ARP, IPv4 or IPv6, if the pod has an address of the family, without VLAN tags.
//  3. ARP: learn neighbours; send requests for the pod address to the pod endpoint.
//  4. IP: validate the packet. IPv6 neighbour discovery (controlFromWire): learn neighbours; answer solicitations for the pod address with
//     the wire MAC, unless the kernel is the holder. Drop everything else of it, and MLD. Drop DHCP, except requests of a relay to the pod address. Drop the sources that no
//     other host may use; a packet may exceed the link's MTU, as a host receives it. Decide by the destination IP, whatever the destination
//     MAC: groups and broadcasts go to the guest, other destinations than the pod address nowhere.
//  5. Send packets of flows of the pod's own processes to the egress port, and packets to kept ports, and ICMP errors about those, to the
//     pod endpoint.
//  6. Send the rest to the guest if it is the holder. If the switch is, send only ICMP echo to the pod endpoint, and TCP and UDP if the
//     endpoint refuses them.
//
// Frames from the pod endpoint (fromPod) are dropped while the kernel is the holder, and then validated like those of the wire, with any
// source MAC. ARP frames are sent with the wire MAC; IP with the pod address as its source goes to the wire, except DHCP, neighbour
// discovery and MLD. Frames from the server (fromServer) go to the guest. egress.go has those of the pod's own processes (fromEgress).
//
// All methods except Resume may be called concurrently.
type Delegate struct {
	IPv4, IPv6 *Family // read-only; nil: the pod has no address of the family

	cfg    DelegateConfig
	kept   keptPorts
	uplink atomic.Pointer[uplink]
}

// A Family is the part of a Delegate for the pod address of one IP family: who holds the address, how the guest uses it, and where its
// packets go. All methods may be called concurrently.
type Family struct {
	cfg        *DelegateConfig
	isIPv6     bool
	ethertype  uint16
	badPacket  Reason
	address    lookup.Key // the pod address
	broadcast  lookup.Key // directed broadcast address of its prefix; the zero key if it has none
	server     lookup.Key // in IPv6 also the guest's router
	rules      ruleTable
	neighbours *neighbours
	kept       *keptPorts
	egress     *egress // nil: there is no egress port

	client     atomic.Uint64 // key of the MAC that has sent to the server
	advertised atomicTime    // when the last unsolicited router advertisement was sent; absent: one is due, as after a takeover
	errors     atomic.Int32  // ICMPv6 errors since the last tick, except errorTooBig
	holder     atomic.Int32
	isExpected atomic.Bool // the guest: ExpectGuest

	using    sync.Mutex    // guards writing the following; recordUse describes how they are read without it
	guestMAC atomic.Uint64 // key of the MAC that uses the pod address at the guest port; 0: not known yet
	lastUse  atomicTime    // when that MAC last used the pod address
}

// keptPorts are the ports that stay with the pod.
type keptPorts struct{ tcp, udp portSet }

func (k *keptPorts) has(protocol uint8, port uint16) bool {
	return protocol == packet.ProtocolTCP && k.tcp.has(port) || protocol == packet.ProtocolUDP && k.udp.has(port)
}

// A portSet is a bitmap of ports.
type portSet [1 << 16 / 64]uint64

func (s *portSet) add(ports []uint16) {
	for _, port := range ports {
		s[port/64] |= 1 << (port % 64)
	}
}

func (s *portSet) has(port uint16) bool { return s[port/64]&(1<<(port%64)) != 0 }

// DelegateConfig configures a Delegate. WireMAC, RouterMAC, MTU, GuestMTU and a pod address are required. Routes, neighbours and rules are of
// both families.
type DelegateConfig struct {
	WireMAC   MAC          // MAC of the pod interface
	RouterMAC MAC          // MAC that the guest sees for everything except itself
	PinnedMAC MAC          // the only MAC that the guest may use; the zero MAC: any
	Address   netip.Prefix // the pod's IPv4 address with the prefix length that the plugin configured; the zero Prefix: it has none
	Gateway   netip.Addr   // source of ICMP errors of IPv4 to the guest; the zero Addr: Server
	Server    netip.Addr   // address of the DHCP server; required with Address
	// AddressIPv6 is the pod's IPv6 address with the prefix length that the plugin configured; the zero Prefix: it has none. The guest's
	// router and server is RouterMAC.LinkLocal().
	AddressIPv6 netip.Prefix
	// Advertisement is the ICMPv6 message of a router advertisement (RFC 4861, section 4.2) from its type on, with a checksum of 0. nil: the
	// guest gets none. It must not change while the Delegate is used.
	Advertisement []byte
	MTU           int         // of the pod interface: largest IP packet in bytes
	GuestMTU      int         // of the guest's interface in bytes; the MSS of TCP connections towards the guest is clamped to it
	Routes        []Route     // of the pod interface; without a matching one a packet is dropped as NoRoute
	Permanent     []Neighbour // permanent neighbours of the pod's kernel, which are not resolved
	NoARP         bool        // the link has no ARP and no useful MACs: frames leave with the wire MAC as source and destination
	KeptTCP       []uint16    // TCP ports of the pod address that stay with the pod's own processes
	KeptUDP       []uint16    // UDP ports likewise, for unicast; their answers are subject to Rules, because the source of a datagram may be false
	Egress        netip.Addr  // IPv4 address of the pod's own processes at the egress port; the zero Addr: there is no such port
	EgressMAC     MAC         // their MAC there; required with Egress
	DirectTCP     []uint16    // those of KeptTCP that are served at the egress port instead of the pod endpoint, and see the client's address
	DirectUDP     []uint16    // those of KeptUDP likewise
	Rules         []Rule      // what the guest may reach; the first match decides, and without a match the guest may
	Refuse        bool        // while the switch is the holder, the pod endpoint gets TCP and UDP for the pod address, and refuses them
	// OnUse is called when the guest uses the pod address of a family while it is not the holder. It must not block.
	// If it makes the guest the holder, the packet passes. It may be nil.
	OnUse func(*Family)
}

// NewDelegate returns a forwarder whose holder is HolderSwitch. It panics if Address or Server is an address of another family.
func NewDelegate(cfg DelegateConfig) *Delegate {
	d := &Delegate{cfg: cfg}
	d.kept.tcp.add(cfg.KeptTCP)
	d.kept.udp.add(cfg.KeptUDP)
	u := newUplink(&cfg)
	d.uplink.Store(u)
	if cfg.Address.IsValid() {
		d.IPv4 = d.newFamily(cfg.Address, cfg.Server, u.ipv4.gateways)
		d.IPv4.egress = newEgress(&d.cfg)
		d.IPv4.ethertype, d.IPv4.badPacket = packet.TypeIPv4, BadIPv4
	}
	if cfg.AddressIPv6.IsValid() {
		d.IPv6 = d.newFamily(cfg.AddressIPv6, cfg.RouterMAC.LinkLocal(), u.ipv6.gateways)
		d.IPv6.ethertype, d.IPv6.badPacket = packet.TypeIPv6, BadIPv6
	}
	return d
}

func (d *Delegate) newFamily(address netip.Prefix, server netip.Addr, gateways map[lookup.Key]bool) *Family {
	v := &Family{cfg: &d.cfg, isIPv6: address.Addr().Is6(), address: lookup.KeyOf(address.Addr()), server: lookup.KeyOf(server), kept: &d.kept}
	v.rules = newRuleTable(d.cfg.Rules, v.isIPv6)
	v.neighbours = newNeighbours(v.isIPv6, v.address, d.cfg.WireMAC, d.cfg.Permanent, gateways)
	if bits := address.Bits(); !v.isIPv6 && bits < 31 {
		v.broadcast = lookup.Key{Hi: v.address.Hi | uint64(^uint32(0)>>bits)<<32}
	}
	v.holder.Store(int32(HolderSwitch))
	v.guestMAC.Store(d.cfg.PinnedMAC.key())
	return v
}

// Families returns those that the pod has, IPv4 first.
func (d *Delegate) Families() []*Family {
	return slices.DeleteFunc([]*Family{d.IPv4, d.IPv6}, func(v *Family) bool { return v == nil })
}

// familyOf returns the family of a frame with IPv6, IPv4 or ARP; nil: the pod has no address of it.
func (d *Delegate) familyOf(ethertype uint16) *Family {
	if ethertype == packet.TypeIPv6 {
		return d.IPv6
	}
	return d.IPv4
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
		case PortEgress:
			d.fromEgress(f, now, out)
		}
	}
}

// Tick implements Forwarder: it repeats ARP requests and neighbour solicitations, drops the frames that wait for a next hop that does not
// answer, and tells the guest of those by ICMP. It sends the announcements and router advertisements that are due.
func (d *Delegate) Tick(now time.Duration, out *Out) {
	out.uplink = d.uplink.Load()
	for _, v := range d.Families() {
		v.errors.Store(0)
		v.advertise(now, out)
		v.neighbours.tick(now, out, func(f heldFrame) {
			var p packet.Packet
			if f.port == PortGuest && p.Parse(f.Data) {
				v.sendICMPError(PortGuest, f.Data, &p, errorHostUnreachable, 0, out)
			}
		})
	}
}

// isBroadcast reports whether k is the limited broadcast address or the directed one of the pod's subnet.
func (v *Family) isBroadcast(k lookup.Key) bool {
	return !v.isIPv6 && (k == lookup.LimitedBroadcast || k == v.broadcast && v.broadcast != lookup.Key{})
}

func (v *Family) guest() MAC { return macFromKey(v.guestMAC.Load()) }

func (v *Family) isHeldBy(h Holder) bool { return Holder(v.holder.Load()) == h }

// fromPod handles one frame from the pod endpoint; Delegate's comment has the steps.
func (d *Delegate) fromPod(f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < packet.EthernetLen {
		out.Drop(Short)
		return
	}
	if v := d.familyOf(packet.Ethertype(f.Data)); v != nil && v.isHeldBy(HolderKernel) {
		out.Drop(NotHolder)
		return
	}
	if reason, ok := normalize(f, true); !ok {
		out.Drop(reason)
		return
	}
	v := d.familyOf(packet.Ethertype(f.Data))
	var p packet.Packet
	switch {
	case v == nil:
		out.Drop(Ethertype)
	case packet.Ethertype(f.Data) == packet.TypeARP:
		arpFromPod(f, out)
	case !p.Parse(f.Data):
		out.Drop(v.badPacket)
	case p.IsControl(f.Data):
		dropControl(f.Data[p.Transport], OwnND, out)
	case p.IsDHCP():
		out.Drop(DHCP)
	case p.Source != v.address:
		out.Drop(ForeignSource)
	default:
		v.toWire(PortPod, f, &p, now, out)
	}
}

// fromServer sends a frame from the server to its destination MAC, or, if that is zero, to the MAC that uses the pod address.
func (d *Delegate) fromServer(f *Frame, out *Out) {
	if len(f.Data) < packet.EthernetLen {
		out.Drop(Short)
		return
	}
	to := destination(f.Data)
	if v := d.familyOf(packet.Ethertype(f.Data)); to.IsZero() && v != nil {
		if to = v.guest(); v.isIPv6 && v.client.Load() != 0 { // the guest may have no global address yet
			to = macFromKey(v.client.Load())
		}
	}
	if to.IsZero() {
		out.Drop(Unresolved)
		return
	}
	packet.SetMACs(f.Data, to, d.cfg.RouterMAC)
	out.Send(PortGuest, *f)
}
