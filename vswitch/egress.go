package vswitch

import (
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
)

// The egress port lets the pod's own processes reach other hosts while the pod address is off the pod interface, such as a name server that
// forwards the guest's questions. Their packets have the address DelegateConfig.Egress as the source, which is replaced by the pod address,
// and the answers go the other way. Ports stay as they are: there is one host behind the port. A flow is TCP or UDP between a port of the
// pod and a port of another host, and begins with a packet of the pod's. At a direct port it begins with a packet of the other host, and
// needs no entry. Flows are IPv4.
//
//	                 source 169.254.75.11             source 10.244.1.7
//	pod's kernel ──────────▶ PortEgress ── fromEgress ──────────▶ PortUplink
//	             ◀────────── PortEgress ◀───────── ipFromWire ◀──

// flowLimit is the most flows of either protocol. When the table is full, flows without a packet for flowSpare make room. Of UDP, whose flows have
// no end, otherwise the older half does: a guest that asks a name server of the pod many questions must not shut out the pod's processes and itself.
const (
	flowLimit = 8192
	flowSpare = 30 * time.Second
)

// flowClosed is the value of a flow whose TCP connection the pod's process has closed; otherwise it is 0.
const flowClosed = 1

// An egress has the flows of the pod's own processes.
type egress struct {
	address  lookup.Key // of the pod's processes at the port
	udp, tcp *lookup.Table
	direct   keptPorts
}

func newEgress(cfg *DelegateConfig) *egress {
	if !cfg.Egress.Is4() {
		return nil
	}
	e := &egress{address: lookup.KeyOf(cfg.Egress), udp: lookup.New(flowLimit, true), tcp: lookup.New(flowLimit, true)}
	e.direct.tcp.add(cfg.DirectTCP)
	e.direct.udp.add(cfg.DirectUDP)
	return e
}

// flowTable returns the table of a protocol, or nil.
func (e *egress) flowTable(protocol uint8) *lookup.Table {
	switch protocol {
	case packet.ProtocolUDP:
		return e.udp
	case packet.ProtocolTCP:
		return e.tcp
	}
	return nil
}

// flowKey is the key of a flow in a narrow table. It is not 0, because no host has the address 0.
func flowKey(port uint16, host lookup.Key, hostPort uint16) lookup.Key {
	return lookup.Key{Hi: host.Hi | uint64(port)<<16 | uint64(hostPort)}
}

// has reports whether a flow exists. It may be called for nil.
func (e *egress) has(protocol uint8, port uint16, host lookup.Key, hostPort uint16, now time.Duration) bool {
	s, _ := e.find(protocol, port, host, hostPort, now)
	return s != nil
}

// find returns the slot of a flow and the time of its last packet; nil: there is no such flow. It may be called for nil.
func (e *egress) find(protocol uint8, port uint16, host lookup.Key, hostPort uint16, now time.Duration) (*lookup.Slot, time.Duration) {
	if e == nil {
		return nil, 0
	}
	t := e.flowTable(protocol)
	if t == nil {
		return nil, 0
	}
	s, value, seen, ok := t.Find(flowKey(port, host, hostPort))
	if !ok || now-seen >= packet.FlowIdle(protocol, value == flowClosed) {
		return nil, 0
	}
	return s, seen
}

// note makes or prolongs the flow of a packet from the pod's processes. It reports false if there are too many.
func (e *egress) note(p *packet.Packet, frame []byte, now time.Duration) bool {
	t, k, next := e.flowTable(p.Protocol), flowKey(p.SourcePort, p.Target, p.TargetPort), uint64(0)
	s, value, seen, ok := t.Find(k)
	if p.ClosesFlow(frame, value == flowClosed) {
		next = flowClosed
	}
	if ok && value == next {
		s.Touch(seen, now)
		return true
	}
	isSpare := func(old lookup.Entry) bool { return now-old.Seen >= flowSpare }
	if fits := t.Put(k, next, now, isSpare); fits || p.Protocol != packet.ProtocolUDP {
		return fits
	}
	t.RemoveOldest()
	return t.Put(k, next, now, isSpare)
}

// fromEgress handles one frame of the pod's own processes: validate it, note its flow, and send it to the wire from the pod address. The rules
// apply to datagrams of direct ports, as to those of kept ports, and otherwise they are the guest's.
func (d *Delegate) fromEgress(f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < packet.EthernetLen {
		out.Drop(Short)
		return
	}
	if reason, ok := normalize(f, false); !ok {
		out.Drop(reason)
		return
	}
	v := d.IPv4
	var p packet.Packet
	switch {
	case packet.Ethertype(f.Data) == packet.TypeIPv6:
		out.Drop(Ethertype)
	case v == nil || v.egress == nil || packet.Ethertype(f.Data) != packet.TypeIPv4:
		out.Drop(Unwanted)
	case !p.Parse(f.Data):
		out.Drop(BadIPv4)
	case p.Source != v.egress.address:
		out.Drop(ForeignSource)
	case v.isHeldBy(HolderKernel):
		out.Drop(NotHolder)
	case p.Protocol != packet.ProtocolTCP && p.Protocol != packet.ProtocolUDP || p.Fragment || p.IsDHCP():
		out.Drop(Unwanted)
	case p.Target.IsMartian(false), p.Target.IsGroup(false), v.isBroadcast(p.Target):
		out.Drop(Martian)
	case p.Target == v.address:
		out.Drop(Hairpin)
	case v.egress.direct.has(p.Protocol, p.SourcePort):
		if p.Protocol == packet.ProtocolUDP && v.rules.deny(&p, f.Data) {
			out.dropFor(Denied, offendingIP(p.Target, false))
			return
		}
		p.ReplaceSource(&f.Offload, f.Data, v.address)
		v.toHost(PortPod, f, &p, now, out)
	case v.kept.has(p.Protocol, p.SourcePort):
		out.dropFor(KeptPort, offendingNumber(p.SourcePort))
	case !v.egress.note(&p, f.Data, now):
		out.Drop(NoBuffer)
	default:
		p.ReplaceSource(&f.Offload, f.Data, v.address)
		v.toHost(PortPod, f, &p, now, out)
	}
}

// sendToEgress sends a packet from the wire to the pod's processes, and reports whether it belongs to one of their flows, or to a direct
// port. A fragment does not.
func (v *Family) sendToEgress(f *Frame, p *packet.Packet, now time.Duration, out *Out) bool {
	e := v.egress
	if e == nil || p.Fragment || v.isHeldBy(HolderKernel) {
		return false
	}
	if flow, seen := e.find(p.Protocol, p.TargetPort, p.Source, p.SourcePort, now); flow != nil {
		flow.Touch(seen, now)
	} else if !e.direct.has(p.Protocol, p.TargetPort) {
		return false
	}
	p.ReplaceTarget(&f.Offload, f.Data, e.address)
	p.ClampMSS(&f.Offload, f.Data, out.uplink.of(v).guestMSS)
	packet.SetMACs(f.Data, v.cfg.EgressMAC, v.cfg.RouterMAC)
	out.Send(PortEgress, *f)
	return true
}

// isOfEgress reports whether a packet of the guest, or its first fragment, has the ports and the destination of a flow of the pod's processes,
// which would get the answer. The guest does not prolong the flow: it could keep the table full.
func (v *Family) isOfEgress(p *packet.Packet, now time.Duration) bool {
	return p.FirstFragment && v.egress.has(p.Protocol, p.SourcePort, p.Target, p.TargetPort, now)
}
