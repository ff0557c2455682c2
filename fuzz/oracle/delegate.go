package oracle

import (
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// Delegate is the model of vswitch.Delegate.
type Delegate struct {
	IPv4, IPv6 *Family // nil: the pod has no such address
	cfg        vswitch.DelegateConfig
	advertised *time.Duration // when the last unsolicited router advertisement was sent; nil: never
	client     vswitch.MAC    // that has sent to the server by IPv6
	errors     int            // ICMPv6 errors since the last tick, without those about sizes: 1000 at most are sent
}

// Family is the model of vswitch.Family.
type Family struct {
	*Delegate
	six       bool
	self      netip.Addr // the pod address
	server    netip.Addr
	router    netip.Addr // source of errors
	broadcast netip.Addr // of its prefix; the zero Addr if it has none
	holder    vswitch.Holder
	guest     vswitch.MAC    // MAC that uses the pod address; the zero MAC: not known yet
	lastUse   *time.Duration // when that MAC last used the pod address; nil: never
	kept      map[int]bool   // TCP
	keptUDP   map[int]bool

	neighbours map[netip.Addr]neighbour
	questions  map[netip.Addr]*question
	number     int           // of questions so far
	sweep      time.Duration // when a full table may be searched for expired neighbours again
}

// NewDelegate returns the model with the switch as holder. It counts the calls of OnUse and does not make them.
func NewDelegate(cfg vswitch.DelegateConfig) *Delegate {
	d := &Delegate{cfg: cfg}
	if cfg.Address.IsValid() {
		d.IPv4 = d.family(cfg.Address, cfg.Server)
		d.IPv4.router = cfg.Server
		if cfg.Gateway.Is4() {
			d.IPv4.router = cfg.Gateway
		}
	}
	if cfg.AddressIPv6.IsValid() {
		m := cfg.RouterMAC
		d.IPv6 = d.family(cfg.AddressIPv6, netip.AddrFrom16([16]byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}))
		d.IPv6.router = d.IPv6.server
	}
	return d
}

func (d *Delegate) family(own netip.Prefix, server netip.Addr) *Family {
	v := &Family{
		Delegate: d, six: own.Addr().Is6(), self: own.Addr(), server: server, holder: vswitch.HolderSwitch, guest: d.cfg.PinnedMAC,
		kept: map[int]bool{}, keptUDP: map[int]bool{}, neighbours: map[netip.Addr]neighbour{}, questions: map[netip.Addr]*question{},
	}
	for _, port := range d.cfg.KeptTCP {
		v.kept[int(port)] = true
	}
	for _, port := range d.cfg.KeptUDP {
		v.keptUDP[int(port)] = true
	}
	for _, n := range d.cfg.Permanent {
		if n.Addr.Is6() == v.six {
			v.neighbours[n.Addr] = neighbour{mac: n.MAC, permanent: true}
		}
	}
	if bits := own.Bits(); bits < 31 && !v.six {
		b := v.self.As4()
		for i := bits; i < 32; i++ {
			b[i/8] |= 0x80 >> (i % 8)
		}
		v.broadcast = netip.AddrFrom4(b)
	}
	return v
}

// families returns those of the pod.
func (d *Delegate) families() (list []*Family) {
	for _, v := range []*Family{d.IPv4, d.IPv6} {
		if v != nil {
			list = append(list, v)
		}
	}
	return list
}

// of returns the family of a frame; nil: the pod has no such address.
func (d *Delegate) of(frame []byte) *Family {
	if kind(frame) == typeIPv6 {
		return d.IPv6
	}
	return d.IPv4
}

// SetHolder makes h the holder. A MAC other than zero becomes the guest's.
func (d *Family) SetHolder(h vswitch.Holder, mac vswitch.MAC) {
	if !isNobody(mac) && mac != d.guest {
		d.guest, d.lastUse = mac, nil
	}
	d.holder = h
}

// LastUseBy returns when mac last used the pod address, if it did and no other MAC has since.
func (d *Family) LastUseBy(mac vswitch.MAC) (at time.Duration, ok bool) {
	if mac != d.guest {
		return 0, false
	}
	return d.LastUse()
}

// LastUse returns when any MAC last used the pod address, if one did.
func (d *Family) LastUse() (at time.Duration, ok bool) {
	if d.lastUse == nil {
		return 0, false
	}
	return *d.lastUse, true
}

// Held returns the number of frames that wait for a neighbour.
func (d *Delegate) Held() int {
	n := 0
	for _, v := range d.families() {
		for _, q := range v.questions {
			n += len(q.frames)
		}
	}
	return n
}

// Forward processes frames that enter at a port.
func (d *Delegate) Forward(in int, frames []vswitch.Frame, now time.Duration) *Outcome {
	o := newOutcome()
	for _, f := range frames {
		f.Data = append([]byte{}, f.Data...)
		if len(f.Data) < ethernetHeader {
			o.drop(in, vswitch.Short)
			continue
		}
		c := &call{Family: d.of(f.Data), d: d, Outcome: o, in: in, now: now}
		switch in {
		case vswitch.PortGuest:
			c.fromGuest(f)
		case vswitch.PortUplink:
			c.fromWire(f)
		case vswitch.PortPod:
			c.fromPod(f)
		case vswitch.PortServer:
			c.fromServer(f)
		}
	}
	return o
}

// A call is the processing of one frame, or a Tick of one family: the switch, the time, and the outcome.
type call struct {
	*Family // of the frame; nil: the pod has no such address
	d       *Delegate
	*Outcome
	in  int // the port where the frame entered
	now time.Duration
}

func (c *call) refuse(r vswitch.Reason) { c.drop(c.in, r) }

// untagged returns a frame without its outer tags of VLAN 0, which carry only a priority.
func untagged(f vswitch.Frame) vswitch.Frame {
	for len(f.Data) >= 18 && isTag(kind(f.Data)) && word(f.Data, 14)%0x1000 == 0 {
		f.Data = append(append([]byte{}, f.Data[:12]...), f.Data[16:]...)
		if f.Offload.Flags&needsChecksum != 0 {
			f.Offload.CsumStart = max(f.Offload.CsumStart, 4) - 4
		}
	}
	return f
}

// fault returns the first fault of a frame from any port, in this order. If anySource is true, the source MAC is not checked.
func fault(f vswitch.Frame, possible, anySource bool) (vswitch.Reason, bool) {
	switch t := kind(f.Data); {
	case !possible:
		return vswitch.BadOffload, true
	case !anySource && !isStation(source(f.Data)):
		return vswitch.BadSource, true
	case isTag(t):
		return vswitch.VLAN, true
	case t != typeARP && t != typeIPv4 && t != typeIPv6:
		return vswitch.Ethertype, true
	}
	return 0, false
}

// fromPod sends ARP with the wire MAC, and IPv4 by the routes; nothing while the kernel holds the address.
func (c *call) fromPod(f vswitch.Frame) {
	if c.Family != nil && c.holder == vswitch.HolderKernel {
		c.refuse(vswitch.NotHolder)
		return
	}
	var possible bool
	f = untagged(f)
	f.Offload, possible = Exact(f.Offload, f.Data)
	f = settled(f, possible)
	if reason, bad := fault(f, possible, true); bad {
		c.refuse(reason)
		return
	}
	if c.Family = c.d.of(f.Data); c.Family == nil {
		c.refuse(vswitch.Ethertype)
		return
	}
	if kind(f.Data) == typeARP {
		f = readdressed(f, target(f.Data), c.cfg.WireMAC)
		if _, ok := readARP(f.Data); ok {
			copy(f.Data[22:28], c.cfg.WireMAC[:])
		}
		c.send(vswitch.PortUplink, f)
		return
	}
	p, ok := readPacket(f.Data)
	switch {
	case !ok:
		c.refuse(c.malformed())
	case p.isOfLink():
		c.refuse(p.ofLink(vswitch.OwnND))
	case p.isDHCP():
		c.refuse(vswitch.DHCP)
	case p.source != c.self:
		c.refuse(vswitch.ForeignSource)
	default:
		c.toWire(f, p)
	}
}

// fromServer sends to the destination MAC, or to the guest if that is zero.
func (c *call) fromServer(f vswitch.Frame) {
	to := target(f.Data)
	if isNobody(to) && c.Family != nil {
		to = c.guest
		if c.six && !isNobody(c.d.client) {
			to = c.d.client
		}
	}
	if isNobody(to) {
		c.refuse(vswitch.Unresolved)
		return
	}
	c.send(vswitch.PortGuest, readdressed(f, to, c.d.cfg.RouterMAC))
}

func (d *Family) isBroadcast(a netip.Addr) bool { return a == limitedBroadcast || a == d.broadcast }

// malformed returns the reason for a packet that cannot be read.
func (d *Family) malformed() vswitch.Reason {
	if d.six {
		return vswitch.BadIPv6
	}
	return vswitch.BadIPv4
}
