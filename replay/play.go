package replay

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// Options say how a capture is played.
type Options struct {
	Setup Setup
	// In is the port where every frame enters; empty: where its interface says, if that has the name of a port, and else as its
	// source MAC says: the guest's enter at the guest port, the router MAC's are the switch's own and are skipped, and all
	// others enter at the uplink.
	In string
	// GuestMAC is the guest's source MAC in a capture of both directions; the zero MAC: the pinned one, or the wire MAC, which is
	// what a pod uses that no guest has taken the place of.
	GuestMAC vswitch.MAC
	// Exact takes the time stamps for the switch's clock, and ticks only where the capture says so: for what Write has written.
	Exact bool
}

// Times of a player.
const (
	tickEvery  = time.Second      // as a Switch does
	ticksAtGap = 300              // ticks at the begin of a gap; then one at its end: what waited has given up long before
	waitAtEnd  = 10 * time.Second // for the next hop of frames that wait when the capture ends
	clockEnd   = 1 << 62          // as far as time stamps move the clock
)

// A Player sends packets through a switch, one after the other. It is no other than the forwarder of a real one.
type Player struct {
	options   Options
	ports     []string
	forwarder vswitch.Forwarder
	delegate  *vswitch.Delegate
	used      bool // the guest used an address that it does not hold
	begun     bool
	first     time.Time
	start     time.Duration // the clock at the first packet
	now       time.Duration
	tick      time.Duration // when the next tick is due
	waiting   []*waiter
	summary   Summary
}

// NewPlayer makes the switch. An error says what is wrong with the options.
func NewPlayer(o Options) (*Player, error) {
	if err := o.Setup.Check(); err != nil {
		return nil, err
	}
	p := &Player{options: o, ports: o.Setup.Ports(), summary: Summary{Drops: map[string]uint64{}}}
	if o.In != "" && !slices.Contains(p.ports, o.In) {
		return nil, fmt.Errorf("port %q: want one of %q", o.In, p.ports)
	}
	if o.GuestMAC.IsZero() {
		p.options.GuestMAC = o.Setup.guestMAC()
	}
	p.forwarder, p.delegate = o.Setup.forwarder(func() { p.used = true })
	return p, nil
}

// Play takes the next packet and returns what happened, in order: ticks that something came of, and last the packet's own.
// It changes the packet's frame.
func (p *Player) Play(packet *Packet) []*Record {
	records := p.advance(packet.Time)
	r := &Record{Number: packet.Number, Seconds: p.seconds()}
	switch e := packet.Event; {
	case e != nil && e.Tick:
		r.Event = "tick"
		p.tickOnce(r)
	case e != nil:
		r.Event = strings.TrimPrefix(e.comment(), "podswitch-")
		if p.delegate != nil {
			p.delegate.Hand(e.Holder, e.MAC)
		}
	default:
		p.frame(packet, r)
	}
	return append(records, r)
}

// Finish lets time pass until no frame waits any more, and returns what came of it. In an exact capture no time passes.
func (p *Player) Finish() []*Record {
	if p.options.Exact {
		return nil
	}
	var records []*Record
	for end := p.now + waitAtEnd; len(p.waiting) > 0 && p.now < end; {
		p.now = p.tick
		records = p.tickNow(records)
	}
	return records
}

// Summary counts what was played until now.
func (p *Player) Summary() *Summary {
	s := p.summary
	s.Held = len(p.waiting)
	return &s
}

func (p *Player) seconds() float64 { return (p.now - p.start).Seconds() }

// advance moves the clock to the time of a packet, and never back.
func (p *Player) advance(t time.Time) (records []*Record) {
	if !p.begun {
		p.begun, p.first, p.start = true, t, 0
		if p.options.Exact {
			p.start = max(0, t.Sub(At(0)))
		}
		p.now, p.tick = p.start, p.start+tickEvery
	}
	since := min(t.Sub(p.first), clockEnd-p.start)
	to := max(p.now, p.start+since)
	if p.options.Exact {
		p.now = to
		return nil
	}
	for ticks := 0; p.tick <= to; ticks++ {
		if ticks == ticksAtGap {
			p.tick += (to - p.tick).Truncate(tickEvery)
		}
		p.now = p.tick
		records = p.tickNow(records)
	}
	p.now = to
	return records
}

// tickNow ticks, and adds a record if something came of it.
func (p *Player) tickNow(records []*Record) []*Record {
	p.tick = p.now + tickEvery
	r := &Record{Seconds: p.seconds(), Event: "tick"}
	p.tickOnce(r)
	if len(r.Out) > 0 || len(r.Late) > 0 {
		records = append(records, r)
	}
	return records
}

func (p *Player) tickOnce(r *Record) {
	out := vswitch.NewOut(len(p.ports), new(vswitch.Counters))
	p.forwarder.Tick(p.now, out)
	p.collect(out, r, nil)
	p.lateDrops(r)
}

// frame sends a frame through the switch.
func (p *Player) frame(packet *Packet, r *Record) {
	p.summary.Frames++
	description := Describe(packet.Frame)
	r.Frame = &description
	port, note := p.port(packet)
	if note == "" && packet.Length > len(packet.Frame.Data) {
		note = fmt.Sprintf("cut off, it had %d bytes: capture whole frames", packet.Length)
	}
	if r.In = "-"; note != "" {
		p.summary.Skipped++
		r.Outcome, r.Note = Skipped, note
		return
	}
	r.In = p.ports[port]
	if len(packet.Frame.Data) > vswitch.MaxFrame { // no port delivers it
		p.dropped(r, map[string]uint64{vswitch.Truncated.String(): 1})
		return
	}
	w := &waiter{packet.Number, bytes.Clone(packet.Frame.Data), new(vswitch.Counters), false}
	out := vswitch.NewOut(len(p.ports), w.counters)
	p.used = false
	p.forwarder.Forward(port, []vswitch.Frame{packet.Frame}, p.now, out)
	waited := p.collect(out, r, w)
	p.settle(w, r, waited)
	p.lateDrops(r)
	if p.used {
		r.Note = "the guest uses the address without being its holder: run may hand it over"
	}
}

func (p *Player) dropped(r *Record, drops map[string]uint64) {
	r.Outcome, r.Drops = Dropped, drops
	p.summary.Dropped++
	p.count(drops)
}

func (p *Player) count(drops map[string]uint64) {
	for reason, n := range drops {
		p.summary.Drops[reason] += n
	}
}

// port is where a frame enters; a note says why it does not.
func (p *Player) port(packet *Packet) (port int, note string) {
	name := p.options.In
	if name == "" && slices.Contains(p.ports, packet.Port) {
		name = packet.Port
	}
	if name != "" {
		return slices.Index(p.ports, name), ""
	}
	if len(packet.Frame.Data) < ethernetLen {
		return 0, "it has no source MAC to tell its port by: name the port"
	}
	source := vswitch.MAC(packet.Frame.Data[6:12])
	switch {
	case source == p.options.GuestMAC && !source.IsZero():
		return vswitch.PortGuest, ""
	case p.options.Setup.Delegate != nil && source == p.options.Setup.Delegate.RouterMAC:
		return 0, "from the router MAC: a switch has sent it"
	case len(p.ports) < 2:
		return 0, ""
	}
	return vswitch.PortUplink, ""
}

// collect takes what leaves. It reports whether w, or a piece of it, is among that.
func (p *Player) collect(out *vswitch.Out, r *Record, w *waiter) (itself bool) {
	out.Flush(func(port int, frames []vswitch.Frame) {
		for _, f := range frames {
			o := Output{Port: p.ports[port], Frame: Describe(f)}
			switch changed, same := differ(w, f.Data); {
			case same:
				o.Number, o.Changed, itself = w.number, changed, true
			default:
				o.Number = p.release(f.Data)
			}
			if w != nil && o.Number == 0 && isFragment(w.data, f.Data) {
				itself = true
			}
			r.Out = append(r.Out, o)
		}
	})
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiter) bool { return w.left })
	return itself
}
