package replay

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// Options configure a Player. Setup is required.
type Options struct {
	Setup Setup
	// In is the name of the port where every frame enters. If it is empty, a frame enters at the port that has the name of its
	// interface in the capture. If there is no such port, the source MAC decides: frames of the guest enter at the guest port, frames
	// of the router MAC were sent by a switch and are skipped, all others enter at the uplink.
	In string
	// GuestMAC is the guest's source MAC. If it is zero, the player uses the pinned MAC, or, without one, the wire MAC: a pod without a
	// guest uses it.
	GuestMAC vswitch.MAC
	// Exact makes the time stamps the times of the switch's clock, with ticks only where the capture has a tick event. It is for
	// captures that Write has written.
	Exact bool
}

// Times of a player without Exact.
const (
	tickInterval = time.Second      // as in a Switch
	ticksInGap   = 300              // ticks at the beginning of a gap; one more follows at its end, when no frame waits any more
	waitAtEnd    = 10 * time.Second // for the next hops of frames that are held at the end of the capture
	clockEnd     = 1 << 62          // latest time of the clock, whatever the time stamps are
)

// A Player sends packets through a forwarder, one after the other. It must not be used concurrently. Use NewPlayer to make one.
type Player struct {
	options   Options
	ports     []string
	forwarder vswitch.Forwarder
	delegate  *vswitch.Delegate // nil for a bridge
	isUsed    bool              // OnUse was called for the present frame
	hasBegun  bool
	first     time.Time     // time stamp of the first packet
	start     time.Duration // the clock at the first packet
	now       time.Duration
	nextTick  time.Duration
	held      []*heldFrame
	summary   Summary
}

// NewPlayer returns a player with a new forwarder. It returns an error if the options are not valid.
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
	p.forwarder, p.delegate = o.Setup.forwarder(func() { p.isUsed = true })
	return p, nil
}

// Play sends the next packet through the forwarder. It returns the records of the ticks since the packet before that had an effect,
// and then the record of the packet. Play may change the packet's frame. The records are the caller's.
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
			for _, v := range p.delegate.Families() {
				v.SetHolder(e.Holder, e.MAC)
			}
		}
	default:
		p.frame(packet, r)
	}
	return append(records, r)
}

// Finish advances the clock until no frame is held, and returns the records of the ticks that had an effect. With Options.Exact it does
// nothing.
func (p *Player) Finish() []*Record {
	if p.options.Exact {
		return nil
	}
	var records []*Record
	for end := p.now + waitAtEnd; len(p.held) > 0 && p.now < end; {
		p.now = p.nextTick
		records = p.tickNow(records)
	}
	return records
}

// Summary returns the counts of all frames that were played. The summary is the caller's, but shares the map with the player.
func (p *Player) Summary() *Summary {
	s := p.summary
	s.Held = len(p.held)
	return &s
}

func (p *Player) seconds() float64 { return (p.now - p.start).Seconds() }

// advance moves the clock to the time of a packet, but never back.
func (p *Player) advance(t time.Time) (records []*Record) {
	if !p.hasBegun {
		p.hasBegun, p.first, p.start = true, t, 0
		if p.options.Exact {
			p.start = max(0, t.Sub(At(0)))
		}
		p.now, p.nextTick = p.start, p.start+tickInterval
	}
	since := min(t.Sub(p.first), clockEnd-p.start)
	to := max(p.now, p.start+since)
	if p.options.Exact {
		p.now = to
		return nil
	}
	for ticks := 0; p.nextTick <= to; ticks++ {
		if ticks == ticksInGap {
			p.nextTick += (to - p.nextTick).Truncate(tickInterval)
		}
		p.now = p.nextTick
		records = p.tickNow(records)
	}
	p.now = to
	return records
}

// tickNow calls Tick and adds a record if it had an effect.
func (p *Player) tickNow(records []*Record) []*Record {
	p.nextTick = p.now + tickInterval
	r := &Record{Seconds: p.seconds(), Event: "tick"}
	p.tickOnce(r)
	if len(r.Out) > 0 || len(r.Late) > 0 {
		records = append(records, r)
	}
	return records
}

// tickOnce calls Tick and adds its effects to a record.
func (p *Player) tickOnce(r *Record) {
	out := vswitch.NewOut(len(p.ports), new(vswitch.Counters))
	p.forwarder.Tick(p.now, out)
	p.collect(out, r, nil)
	p.lateDrops(r)
}

// frame sends a frame through the forwarder.
func (p *Player) frame(packet *Packet, r *Record) {
	p.summary.Frames++
	description := describe(packet.Frame)
	r.Frame = &description
	port, note := p.port(packet)
	if note == "" && packet.Length > len(packet.Frame.Data) {
		note = fmt.Sprintf("truncated, the frame had %d bytes: capture whole frames", packet.Length)
	}
	if r.In = "-"; note != "" {
		p.summary.Skipped++
		r.Outcome, r.Note = Skipped, note
		return
	}
	r.In = p.ports[port]
	if len(packet.Frame.Data) > vswitch.MaxFrame { // no port receives it
		p.dropped(r, map[string]uint64{vswitch.Truncated.String(): 1})
		return
	}
	entered := &heldFrame{packet.Number, bytes.Clone(packet.Frame.Data), new(vswitch.Counters), false}
	out := vswitch.NewOut(len(p.ports), entered.counters)
	p.isUsed = false
	p.forwarder.Forward(port, []vswitch.Frame{packet.Frame}, p.now, out)
	isSent := p.collect(out, r, entered)
	p.setOutcome(entered, r, isSent)
	p.lateDrops(r)
	if p.isUsed {
		r.Note = "the guest uses the pod address but is not its holder: run may make it the holder"
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

// port returns the port where a frame enters, or a note with the cause if it does not enter.
func (p *Player) port(packet *Packet) (port int, note string) {
	name := p.options.In
	if name == "" && slices.Contains(p.ports, packet.Port) {
		name = packet.Port
	}
	if name != "" {
		return slices.Index(p.ports, name), ""
	}
	if len(packet.Frame.Data) < ethernetLen {
		return 0, "no source MAC: name the ingress port"
	}
	source := vswitch.MAC(packet.Frame.Data[6:12])
	switch {
	case source == p.options.GuestMAC && !source.IsZero():
		return vswitch.PortGuest, ""
	case p.options.Setup.Delegate != nil && source == p.options.Setup.Delegate.RouterMAC:
		return 0, "from the router MAC: sent by a switch"
	case len(p.ports) < 2:
		return 0, ""
	}
	return vswitch.PortUplink, ""
}

// collect adds the frames that leave to the record. It reports whether the frame that has entered, or a fragment of it, is one of them.
func (p *Player) collect(out *vswitch.Out, r *Record, entered *heldFrame) (isSent bool) {
	out.Flush(func(port int, frames []vswitch.Frame) {
		for _, f := range frames {
			o := Output{Port: p.ports[port], Frame: describe(f)}
			switch changed, same := compare(entered, f.Data); {
			case same:
				o.Number, o.Changed, isSent = entered.number, changed, true
			default:
				o.Number = p.release(f.Data)
			}
			if entered != nil && o.Number == 0 && isFragment(entered.data, f.Data) {
				isSent = true
			}
			r.Out = append(r.Out, o)
		}
	})
	p.held = slices.DeleteFunc(p.held, func(h *heldFrame) bool { return h.isSent })
	return isSent
}
