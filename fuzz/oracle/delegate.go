package oracle

import (
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// Delegate is the model of vswitch.Delegate.
type Delegate struct {
	cfg       vswitch.DelegateConfig
	self      netip.Addr // the pod address
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
	d := &Delegate{
		cfg: cfg, self: cfg.Address.Addr(), holder: vswitch.HolderSwitch, guest: cfg.PinnedMAC, kept: map[int]bool{}, keptUDP: map[int]bool{},
		neighbours: map[netip.Addr]neighbour{}, questions: map[netip.Addr]*question{},
	}
	for _, port := range cfg.KeptTCP {
		d.kept[int(port)] = true
	}
	for _, port := range cfg.KeptUDP {
		d.keptUDP[int(port)] = true
	}
	for _, n := range cfg.Permanent {
		d.neighbours[n.Addr] = neighbour{mac: n.MAC, permanent: true}
	}
	if bits := cfg.Address.Bits(); bits < 31 {
		b := d.self.As4()
		for i := bits; i < 32; i++ {
			b[i/8] |= 0x80 >> (i % 8)
		}
		d.broadcast = netip.AddrFrom4(b)
	}
	return d
}

// SetHolder makes h the holder. A MAC other than zero becomes the guest's.
func (d *Delegate) SetHolder(h vswitch.Holder, mac vswitch.MAC) {
	if !isNobody(mac) && mac != d.guest {
		d.guest, d.lastUse = mac, nil
	}
	d.holder = h
}

// LastUseBy returns when mac last used the pod address, if it did and no other MAC has since.
func (d *Delegate) LastUseBy(mac vswitch.MAC) (at time.Duration, ok bool) {
	if mac != d.guest {
		return 0, false
	}
	return d.LastUse()
}

// LastUse returns when any MAC last used the pod address, if one did.
func (d *Delegate) LastUse() (at time.Duration, ok bool) {
	if d.lastUse == nil {
		return 0, false
	}
	return *d.lastUse, true
}

// Held returns the number of frames that wait for a neighbour.
func (d *Delegate) Held() int {
	n := 0
	for _, q := range d.questions {
		n += len(q.frames)
	}
	return n
}

// Forward processes frames that enter at a port.
func (d *Delegate) Forward(in int, frames []vswitch.Frame, now time.Duration) *Outcome {
	c := &call{Delegate: d, Outcome: newOutcome(), in: in, now: now}
	for _, f := range frames {
		f.Data = append([]byte{}, f.Data...)
		switch {
		case len(f.Data) < ethernetHeader:
			c.drop(in, vswitch.Short)
		case in == vswitch.PortGuest:
			c.fromGuest(f)
		case in == vswitch.PortUplink:
			c.fromWire(f)
		case in == vswitch.PortPod:
			c.fromPod(f)
		case in == vswitch.PortServer:
			c.fromServer(f)
		}
	}
	return c.Outcome
}

// A call is one Forward or Tick: the switch, the time, and the outcome.
type call struct {
	*Delegate
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
	case t != typeARP && t != typeIPv4:
		return vswitch.Ethertype, true
	}
	return 0, false
}

// fromPod sends ARP with the wire MAC, and IPv4 by the routes; nothing while the kernel holds the address.
func (c *call) fromPod(f vswitch.Frame) {
	if c.holder == vswitch.HolderKernel {
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
		c.refuse(vswitch.BadIPv4)
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
	if isNobody(to) {
		to = c.guest
	}
	if isNobody(to) {
		c.refuse(vswitch.Unresolved)
		return
	}
	c.send(vswitch.PortGuest, readdressed(f, to, c.cfg.RouterMAC))
}

func (d *Delegate) isBroadcast(a netip.Addr) bool { return a == limitedBroadcast || a == d.broadcast }
