package vswitch

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vnet"
)

// State returns what d has learned, with copies of the frames that wait for a neighbour; d keeps the originals. It is for a takeover
// inside podswitch. It may be called at any time; if frames arrive during the call, it may or may not include their effects.
func (d *Delegate) State(now time.Duration) handover.Delegate {
	s := d.GuestState(now)
	s.Neighbours, s.Questions, s.NextSweep = d.neighbours.state(now)
	return s
}

// GuestState is State without neighbours and frames that wait for them, and copies none. Resume accepts it. It may be called at any time.
func (d *Delegate) GuestState(now time.Duration) handover.Delegate {
	s := handover.Delegate{Holder: Holder(d.holder.Load()).String()}
	d.using.Lock()
	s.GuestMAC = handover.MAC(d.guest())
	if at, ok := d.lastUse.load(); ok {
		age := ageOf(at, now)
		s.LastUse = &age
	}
	d.using.Unlock()
	return s
}

// Resume replaces what d has learned by the state of another delegate of the same configuration, including the frames that wait
// there, which it copies, except those above the MTU. It is for a takeover inside podswitch; call it before the first frame. For a state that d could not reach
// itself, Resume returns an error and changes nothing. Rules and kept ports are not applied to the waiting frames: the other
// delegate has applied them.
func (d *Delegate) Resume(s handover.Delegate, now time.Duration) error {
	holder, err := parseHolder(s.Holder)
	if err != nil {
		return err
	}
	if err := d.checkUse(&s); err != nil {
		return err
	}
	if len(s.Neighbours)+len(s.Questions) > 0 && d.cfg.NoARP {
		return fmt.Errorf("neighbours: %d, and questions: %d, want none on a link without ARP", len(s.Neighbours), len(s.Questions))
	}
	if err := d.neighbours.check(&s, d.checkHeld); err != nil {
		return err
	}
	s.Questions = d.fitting(s.Questions)
	if !d.neighbours.resume(&s, now) {
		return errors.New("frames wait for neighbours already: want a forwarder that has processed none")
	}
	d.using.Lock()
	d.lastUse.clear()
	if s.LastUse != nil {
		d.lastUse.store(now - *s.LastUse)
	}
	d.guestMAC.Store(MAC(s.GuestMAC).key())
	d.using.Unlock()
	d.holder.Store(int32(holder))
	return nil
}

// fitting returns questions that check has accepted without the frames that exceed the MTU: it may have been larger.
func (d *Delegate) fitting(questions []handover.Question) []handover.Question {
	questions = slices.Clone(questions)
	for i := range questions {
		q := &questions[i]
		q.Frames = slices.DeleteFunc(slices.Clone(q.Frames), func(f handover.Frame) bool {
			return vnet.WireLen(vnet.Header(f.Offload), f.Data) > d.uplink.Load().mtu+ethernetLen
		})
	}
	return questions
}

// checkUse checks the guest's MAC and its last use of the pod address.
func (d *Delegate) checkUse(s *handover.Delegate) error {
	guest, pinned := MAC(s.GuestMAC), d.cfg.PinnedMAC
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
func (d *Delegate) checkHeld(f *handover.Frame) error {
	if f.Port != PortGuest && f.Port != PortPod {
		return fmt.Errorf("port %d: want %d or %d", f.Port, PortGuest, PortPod)
	}
	if len(f.Data) < ethernetLen || len(f.Data) > MaxFrame {
		return fmt.Errorf("data of %d bytes: want at least %d, and at most %d", len(f.Data), ethernetLen, MaxFrame)
	}
	frame := Frame{Offload: vnet.Header(f.Offload), Data: f.Data}
	if h := frame.Offload; !vnet.Check(&h, f.Data) || h != frame.Offload {
		return fmt.Errorf("offload %+v: want one that fits the frame", f.Offload)
	}
	var p packet
	switch {
	case ethertype(f.Data) != typeIPv4 || !p.parseHeader(f.Data) || p.firstFragment && !p.parseTransport(f.Data) && !p.fragment:
		return fmt.Errorf("data of %d bytes: want an IPv4 packet", len(f.Data))
	case p.source != d.address:
		return fmt.Errorf("data from %v: want the pod address %v", addrFromKey(p.source), d.cfg.Address.Addr())
	case p.isDHCP() && !(f.Port == PortGuest && d.isRelayed(&frame, &p, bootReply)):
		return errors.New("data is DHCP: want none that would reach the wire")
	case p.target == d.address || isMartian(p.target) || isMulticastIP(p.target) || d.isBroadcast(p.target):
		return fmt.Errorf("data to %v: want another host", addrFromKey(p.target))
	}
	return nil
}
