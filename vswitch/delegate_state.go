package vswitch

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/internal/packet"
	"github.com/podswitch/podswitch/vnet"
)

// State returns what d has learned, with copies of the frames that wait for a neighbour; d keeps the originals. It is for a takeover
// inside podswitch. It may be called at any time; if frames arrive during the call, it may or may not include their effects.
func (d *Delegate) State(now time.Duration) handover.Delegate {
	return d.stateOf(func(v *Family) handover.Family {
		s := v.guestState(now)
		s.Neighbours, s.Questions, s.NextSweep = v.neighbours.state(now)
		s.Flows = v.egress.state(now)
		return s
	})
}

// GuestState is State without neighbours and frames that wait for them, and copies none. Resume accepts it. It may be called at any time.
func (d *Delegate) GuestState(now time.Duration) handover.Delegate {
	return d.stateOf(func(v *Family) handover.Family { return v.guestState(now) })
}

func (d *Delegate) stateOf(state func(v *Family) handover.Family) (s handover.Delegate) {
	if d.IPv4 != nil {
		s.Family = state(d.IPv4)
	}
	if d.IPv6 != nil {
		six := state(d.IPv6)
		s.IPv6 = &six
	}
	return s
}

func (v *Family) guestState(now time.Duration) handover.Family {
	s := handover.Family{Holder: Holder(v.holder.Load()).String()}
	v.using.Lock()
	defer v.using.Unlock()
	s.GuestMAC = handover.MAC(v.guest())
	if at, ok := v.lastUse.load(); ok {
		age := ageOf(at, now)
		s.LastUse = &age
	}
	return s
}

// Resume replaces what d has learned by the state of another delegate of the same configuration, including the frames that wait
// there, which it copies, except those above the MTU. It is for a takeover inside podswitch; call it before the first frame. For a state that d could not reach
// itself, Resume returns an error and changes nothing. Rules and kept ports are not applied to the waiting frames: the other
// delegate has applied them.
func (d *Delegate) Resume(s handover.Delegate, now time.Duration) error {
	states := map[*Family]*handover.Family{d.IPv4: &s.Family, d.IPv6: s.IPv6}
	if d.IPv4 == nil && s.Holder != "" {
		return fmt.Errorf("holder %q: want none without an IPv4 address", s.Holder)
	}
	if (d.IPv6 == nil) != (s.IPv6 == nil) {
		return errors.New("ipv6: want it if the pod has an IPv6 address, and only then")
	}
	for _, v := range d.Families() {
		if err := v.check(states[v]); err != nil {
			return err
		}
	}
	for _, v := range d.Families() {
		v.resume(states[v], d.uplink.Load().mtu, now)
	}
	return nil
}

// check returns an error for a state that v could not reach itself, or if v has processed frames already.
func (v *Family) check(s *handover.Family) error {
	if _, err := parseHolder(s.Holder); err != nil {
		return err
	}
	if err := v.checkUse(s); err != nil {
		return err
	}
	if len(s.Neighbours)+len(s.Questions) > 0 && v.cfg.NoARP {
		return fmt.Errorf("neighbours: %d, and questions: %d, want none on a link without ARP", len(s.Neighbours), len(s.Questions))
	}
	return errors.Join(v.neighbours.check(s, v.checkHeld), v.egress.check(s.Flows))
}

// resume replaces what v has learned by a state that check has accepted.
func (v *Family) resume(s *handover.Family, mtu int, now time.Duration) {
	v.neighbours.resume(s, fitting(s.Questions, mtu), now)
	v.egress.resume(s.Flows, now)
	v.using.Lock()
	v.lastUse.clear()
	if s.LastUse != nil {
		v.lastUse.store(now - *s.LastUse)
	}
	v.guestMAC.Store(MAC(s.GuestMAC).key())
	v.using.Unlock()
	holder, _ := parseHolder(s.Holder)
	v.holder.Store(int32(holder))
}

// fitting returns questions without the frames that exceed the MTU: it may have been larger.
func fitting(questions []handover.Question, mtu int) []handover.Question {
	questions = slices.Clone(questions)
	for i := range questions {
		q := &questions[i]
		q.Frames = slices.DeleteFunc(slices.Clone(q.Frames), func(f handover.Frame) bool {
			return vnet.WireLen(vnet.Header(f.Offload), f.Data) > mtu+packet.EthernetLen
		})
	}
	return questions
}

// checkUse checks the guest's MAC and its last use of the pod address.
func (v *Family) checkUse(s *handover.Family) error {
	guest, pinned := MAC(s.GuestMAC), v.cfg.PinnedMAC
	switch {
	case guest.IsMulticast():
		return fmt.Errorf("guest_mac %q: want the address of one station", guest)
	case !pinned.IsZero() && guest != pinned:
		return fmt.Errorf("guest_mac %q: want %v, the only one that the guest may have", guest, pinned)
	case s.LastUse == nil:
		return nil
	case guest.IsZero():
		return fmt.Errorf("last_use_age_ns %d: want none without a guest_mac", int64(*s.LastUse))
	}
	if err := checkAge(*s.LastUse); err != nil {
		return fmt.Errorf("last_use_%w", err)
	}
	return nil
}

// checkHeld checks that toHost could have made a frame wait for a neighbour.
func (v *Family) checkHeld(f *handover.Frame) error {
	if f.Port != PortGuest && f.Port != PortPod {
		return fmt.Errorf("port %d: want %d or %d", f.Port, PortGuest, PortPod)
	}
	if len(f.Data) < packet.EthernetLen || len(f.Data) > MaxFrame {
		return fmt.Errorf("data of %d bytes: want at least %d, and at most %d", len(f.Data), packet.EthernetLen, MaxFrame)
	}
	frame := Frame{Offload: vnet.Header(f.Offload), Data: f.Data}
	if h := frame.Offload; !vnet.Check(&h, f.Data) || h != frame.Offload {
		return fmt.Errorf("offload %+v: want one that fits the frame", f.Offload)
	}
	var p packet.Packet
	switch {
	case packet.Ethertype(f.Data) != v.ethertype || !p.ParseHeader(f.Data) || p.FirstFragment && !p.ParseTransport(f.Data) && (v.isIPv6 || !p.Fragment):
		return fmt.Errorf("data of %d bytes: want an %s packet", len(f.Data), familyName(v.isIPv6))
	case p.Source != v.address:
		return fmt.Errorf("data from %v: want the pod address %v", p.Source.Addr(v.isIPv6), v.address.Addr(v.isIPv6))
	case p.IsControl(f.Data):
		return errors.New("data is neighbour discovery or MLD: want a packet that would reach the wire")
	case p.IsDHCP() && !(f.Port == PortGuest && v.isRelayed(&frame, &p, packet.BootReply)):
		return errors.New("data is DHCP: want none that would reach the wire")
	case p.Target == v.address || p.Target.IsMartian(v.isIPv6) || p.Target.IsGroup(v.isIPv6) || v.isBroadcast(p.Target) || v.isIPv6 && p.Target.IsLinkLocal():
		return fmt.Errorf("data to %v: want another host", p.Target.Addr(v.isIPv6))
	}
	return nil
}
