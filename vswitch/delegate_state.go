package vswitch

import (
	"fmt"
	"time"

	"github.com/podswitch/podswitch/vnet"
)

// DelegateState is what a Delegate has learned, and what it has in hand. Permanent neighbours are not in it: who builds a
// Delegate knows them.
type DelegateState struct {
	Holder     string           `json:"holder"`                 // kernel, switch or guest
	GuestMAC   MAC              `json:"guest_mac"`              // who uses the pod address at the guest port; the zero MAC: nobody yet
	Heard      *time.Duration   `json:"heard_age_ns,omitempty"` // since that was last heard; nil: never
	Neighbours []NeighbourState `json:"neighbours"`             // ordered by address
	Questions  []QuestionState  `json:"questions"`              // ordered by address
	// Full is for how many nanoseconds yet a full table of neighbours is not searched for those that were silent for long.
	Full time.Duration `json:"full_ns"`
}

// State returns what d has learned until now. It may be called at any time; what ports receive meanwhile may be in it. Frames
// that wait are copied, and stay with d too.
func (d *Delegate) State(now time.Duration) DelegateState {
	s := DelegateState{Holder: Holder(d.holder.Load()).String()}
	d.using.Lock()
	s.GuestMAC = d.guest()
	if heard, ok := d.heard.load(); ok {
		age := since(heard, now)
		s.Heard = &age
	}
	d.using.Unlock()
	s.Neighbours, s.Questions, s.Full = d.neighbours.state(now)
	return s
}

// Resume goes on with what another delegate of the same configuration has learned and with the frames that waited there,
// instead of what d has learned. It is called before the first frame. It returns an error for a state that d could not have
// itself, and changes nothing then. What rules and kept ports say about a frame that waits was said when it came in.
func (d *Delegate) Resume(s DelegateState, now time.Duration) error {
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
	if !d.neighbours.resume(&s, now) {
		return fmt.Errorf("frames wait for neighbours already, want a forwarder that has seen none")
	}
	d.using.Lock()
	d.heard.clear()
	if s.Heard != nil {
		d.heard.store(now - *s.Heard)
	}
	d.guestMAC.Store(s.GuestMAC.key())
	d.using.Unlock()
	d.holder.Store(int32(holder))
	return nil
}

// checkUse checks who uses the pod address.
func (d *Delegate) checkUse(s *DelegateState) error {
	pinned := d.cfg.PinnedMAC
	switch {
	case s.GuestMAC.IsMulticast():
		return fmt.Errorf("guest_mac %q: want the address of one station", s.GuestMAC)
	case !pinned.IsZero() && s.GuestMAC != pinned:
		return fmt.Errorf("guest_mac %q: want %v, the only one that the guest may have", s.GuestMAC, pinned)
	case s.Heard == nil:
		return nil
	case s.GuestMAC.IsZero():
		return fmt.Errorf("heard_age_ns %d: want none, because guest_mac is nobody", int64(*s.Heard))
	}
	if err := checkAge(*s.Heard); err != nil {
		return fmt.Errorf("heard_%w", err)
	}
	return nil
}

// checkHeld checks a frame that waits for a neighbour: it is such as toHost lets wait.
func (d *Delegate) checkHeld(f *HeldState) error {
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
	case p.isDHCP():
		return fmt.Errorf("data is DHCP: want none that would reach the wire")
	case p.target == d.address || isMartian(p.target) || isMulticastIP(p.target) || d.isBroadcast(p.target):
		return fmt.Errorf("data to %v: want another host", addrFromKey(p.target))
	case !fit(&frame, &p, d.cfg.MTU) || len(frame.Data) != len(f.Data):
		return fmt.Errorf("data of %d bytes: want packets of at most %d bytes", len(f.Data), d.cfg.MTU)
	}
	return nil
}
