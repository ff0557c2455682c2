package fuzz

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/fuzz/oracle"
	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vswitch"
)

// A rig runs a forwarder with counters for each port and compares it with the oracle.
type rig struct {
	t         testing.TB
	setup     replay.Setup // of the forwarder, for the capture of a failure
	forwarder vswitch.Forwarder
	*desk
	counted []map[string]uint64 // drops at the previous comparison
	steps   []step              // so far
	now     time.Duration

	in, out, dropped int // frames of the forwarder
	made, noted      int // frames that the oracle counts
}

func newRig(t testing.TB, desk *desk, f vswitch.Forwarder, setup replay.Setup) *rig {
	desk.clear(len(setup.Ports()))
	r := &rig{t: t, setup: setup, forwarder: f, desk: desk, counted: make([]map[string]uint64, len(desk.outs))}
	return r
}

// A desk has the buffers that all inputs share: allocating and clearing an Out for each input took half of the time. The remains of an earlier
// input are no different from those of an earlier batch in a Switch.
type desk struct {
	outs     []*vswitch.Out // by port, and one for ticks
	counters []*vswitch.Counters
	lent     arena // frames that the forwarder borrows
	left     arena // frames that were sent
	poison   []byte
}

func newDesk() *desk { return &desk{poison: bytes.Repeat([]byte{0xdb}, vswitch.MaxFrame)} }

// An arena has copies of frames that are valid until the next batch.
type arena struct {
	room []byte
	used int
}

// copy returns a copy of a frame without spare capacity, so that writing behind it panics.
func (a *arena) copy(f vswitch.Frame) vswitch.Frame {
	if len(f.Data) > len(a.room)-a.used {
		a.room, a.used = make([]byte, 2*len(a.room)+len(f.Data)), 0
	}
	b := a.room[a.used : a.used+len(f.Data) : a.used+len(f.Data)]
	a.used += copy(b, f.Data)
	return vswitch.Frame{Offload: f.Offload, Data: b}
}

// clear prepares the desk for a number of ports. It empties the Outs, because a failed input may have left frames in them.
func (d *desk) clear(ports int) {
	if len(d.outs) != ports+1 {
		d.outs, d.counters = nil, nil
		for range ports + 1 {
			c := new(vswitch.Counters)
			d.outs, d.counters = append(d.outs, vswitch.NewOut(ports, c)), append(d.counters, c)
		}
	}
	for i, out := range d.outs {
		out.Flush(func(int, []vswitch.Frame) {})
		*d.counters[i] = vswitch.Counters{}
	}
}

// forward forwards a batch and returns copies of the frames that leave. It overwrites the batch afterwards, because a forwarder must not keep
// it.
func (r *rig) forward(s step) (sent [][]vswitch.Frame) {
	batch := make([]vswitch.Frame, len(s.frames))
	r.lent.used = 0
	for i, f := range s.frames {
		batch[i] = r.lent.copy(f)
	}
	r.forwarder.Forward(s.port, batch, r.now, r.outs[s.port])
	sent = r.flush(s.port)
	for _, f := range batch {
		copy(f.Data, r.poison)
	}
	r.in += len(batch)
	return sent
}

func (r *rig) tick() [][]vswitch.Frame {
	last := len(r.outs) - 1
	r.forwarder.Tick(r.now, r.outs[last])
	return r.flush(last)
}

// flush returns copies of the frames that leave, by port and in order. They are valid until the next call.
func (r *rig) flush(out int) [][]vswitch.Frame {
	r.left.used = 0
	sent := make([][]vswitch.Frame, len(r.outs)-1)
	r.outs[out].Flush(func(port int, frames []vswitch.Frame) {
		for _, f := range frames {
			sent[port] = append(sent[port], r.left.copy(f))
			r.out++
		}
	})
	return sent
}

// agree compares the frames that leave, in order for each port, and the drops, in any order.
func (r *rig) agree(sent [][]vswitch.Frame, want *oracle.Outcome) {
	r.made += want.Made
	r.noted += want.Noted
	wanted := make([][]vswitch.Frame, len(sent))
	for _, w := range want.Sent {
		wanted[w.Port] = append(wanted[w.Port], w.Frame)
	}
	if r.steps[len(r.steps)-1].op == opTick {
		r.sortTick(sent, wanted, want)
	}
	for port := range sent {
		if !slices.EqualFunc(sent[port], wanted[port], equal) {
			r.fail("at port %d leave%s\nthe oracle has%s", port, describe(sent[port]), describe(wanted[port]))
		}
	}
	lost := make(map[loss]uint64)
	for _, d := range want.Drops {
		lost[loss{d.Port, d.Reason.String()}]++
	}
	if got := r.drops(); !maps.Equal(got, lost) {
		r.fail("dropped are %v, the oracle has %v", got, lost)
	}
}

// sortTick sorts the outcome of a tick, because the order of neighbours is undefined. If there is no room for all ICMP errors, it is undefined
// which ones leave.
func (r *rig) sortTick(sent, wanted [][]vswitch.Frame, want *oracle.Outcome) {
	if len(want.NoRoom) > 0 {
		all := wanted[vswitch.PortGuest]
		for _, s := range want.NoRoom {
			all = append(all, s.Frame)
		}
		for _, f := range sent[vswitch.PortGuest] {
			i := slices.IndexFunc(all, func(g vswitch.Frame) bool { return equal(f, g) })
			if i < 0 {
				r.fail("leaves, and is not an error of the oracle:%s", describe([]vswitch.Frame{f}))
			}
			all = slices.Delete(all, i, i+1)
		}
		r.made += len(sent[vswitch.PortGuest]) - len(wanted[vswitch.PortGuest])
		wanted[vswitch.PortGuest] = sent[vswitch.PortGuest]
	}
	for port := range sent {
		slices.SortFunc(sent[port], func(f, g vswitch.Frame) int { return bytes.Compare(f.Data, g.Data) })
		slices.SortFunc(wanted[port], func(f, g vswitch.Frame) int { return bytes.Compare(f.Data, g.Data) })
	}
}

func equal(f, g vswitch.Frame) bool { return f.Offload == g.Offload && bytes.Equal(f.Data, g.Data) }

// A loss is the number of drops at one port for one reason.
type loss struct {
	port   int
	reason string
}

// drops returns the drops since the last call.
func (r *rig) drops() map[loss]uint64 {
	lost := make(map[loss]uint64)
	for port, c := range r.counters {
		now := c.Drops()
		for reason, n := range now {
			if more := n - r.counted[port][reason]; more != 0 {
				lost[loss{port, reason}] = more
				r.dropped += int(more)
			}
		}
		r.counted[port] = now
	}
	return lost
}

// conserved checks that every frame that has entered or was made is sent, dropped, noted or held.
func (r *rig) conserved(held int) {
	if r.in+r.made != r.out+r.dropped+r.noted+held {
		r.fail("%d frames entered and %d were made, but %d left, %d were dropped, %d were noted and %d wait",
			r.in, r.made, r.out, r.dropped, r.noted, held)
	}
}

// fail ends the test with the list of steps, and saves them as a capture.
func (r *rig) fail(format string, args ...any) {
	r.t.Helper()
	var text strings.Builder
	for i, s := range r.steps {
		name := [...]string{"raw", "made", "wait", "pause", "tick", "hand", "scan", "static", "forget"}[s.op]
		fmt.Fprintf(&text, "%3d %s port %d wait %v holder %v mac %v%s\n", i, name, s.port, s.wait, s.holder, s.mac, describe(s.frames))
	}
	r.t.Fatalf("%sat %v: %s\n%s", &text, r.now, fmt.Sprintf(format, args...), r.saved())
}

// describe returns one line for each frame, with the first bytes of long frames.
func describe(frames []vswitch.Frame) string {
	var text strings.Builder
	for _, f := range frames {
		fmt.Fprintf(&text, "\n      %+v %d bytes %x", f.Offload, len(f.Data), f.Data[:min(len(f.Data), 120)])
	}
	return text.String()
}
