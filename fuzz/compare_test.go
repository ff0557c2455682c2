package fuzz

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/fuzz/oracle"
	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vswitch"
)

// A rig runs a real forwarder with counters at each port, and compares what it does with what the oracle says.
type rig struct {
	t         *testing.T
	setup     replay.Setup // of the forwarder, for who wants to see a failure again
	forwarder vswitch.Forwarder
	outs      []*vswitch.Out // by port, and one for ticks
	counters  []*vswitch.Counters
	counted   []map[string]uint64 // what the counters said before
	steps     []step              // so far
	now       time.Duration

	in, out, dropped int // frames of the real forwarder
	made, noted      int // frames by the oracle's account
}

func newRig(t *testing.T, f vswitch.Forwarder, setup replay.Setup) *rig {
	ports := len(setup.Ports())
	r := &rig{t: t, setup: setup, forwarder: f}
	for range ports + 1 {
		c := new(vswitch.Counters)
		r.counters, r.counted = append(r.counters, c), append(r.counted, nil)
		r.outs = append(r.outs, vswitch.NewOut(ports, c))
	}
	return r
}

// forward presents a batch to the real forwarder, returns copies of what left, and destroys the batch: it was borrowed.
func (r *rig) forward(s step) (sent [][]vswitch.Frame) {
	batch := make([]vswitch.Frame, len(s.frames))
	for i, f := range s.frames {
		batch[i] = vswitch.Frame{Offload: f.Offload, Data: bytes.Clone(f.Data)}
	}
	r.forwarder.Forward(s.port, batch, r.now, r.outs[s.port])
	sent = r.flush(s.port)
	for _, f := range batch {
		copy(f.Data, bytes.Repeat([]byte{0xdb}, len(f.Data)))
	}
	r.in += len(batch)
	return sent
}

func (r *rig) tick() [][]vswitch.Frame {
	last := len(r.outs) - 1
	r.forwarder.Tick(r.now, r.outs[last])
	return r.flush(last)
}

// flush returns copies of what left, by port and in order.
func (r *rig) flush(out int) [][]vswitch.Frame {
	sent := make([][]vswitch.Frame, len(r.outs)-1)
	r.outs[out].Flush(func(port int, frames []vswitch.Frame) {
		for _, f := range frames {
			f.Data = bytes.Clone(f.Data)
			sent[port] = append(sent[port], f)
			r.out++
		}
	})
	return sent
}

// agree compares what left, in order for each port, and what was dropped, in any order.
func (r *rig) agree(sent [][]vswitch.Frame, want *oracle.Outcome) {
	r.t.Helper()
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
			r.fail("at port %d leave%s\nand the oracle says%s", port, describe(sent[port]), describe(wanted[port]))
		}
	}
	var lost []string
	for _, d := range want.Drops {
		lost = append(lost, fmt.Sprintf("port %d %s", d.Port, d.Reason))
	}
	slices.Sort(lost)
	if got := r.drops(); !slices.Equal(got, lost) {
		r.fail("dropped are %q, and the oracle says %q", got, lost)
	}
}

// sortTick orders what a tick does, which goes through its neighbours in no order. Where there was no room for all errors, it is
// not fixed which ones leave.
func (r *rig) sortTick(sent, wanted [][]vswitch.Frame, want *oracle.Outcome) {
	if len(want.NoRoom) > 0 {
		all := wanted[vswitch.PortGuest]
		for _, s := range want.NoRoom {
			all = append(all, s.Frame)
		}
		for _, f := range sent[vswitch.PortGuest] {
			i := slices.IndexFunc(all, func(g vswitch.Frame) bool { return equal(f, g) })
			if i < 0 {
				r.fail("leaves, and is no error of the oracle's:%s", describe([]vswitch.Frame{f}))
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

// drops lists what was counted since the last call.
func (r *rig) drops() (list []string) {
	for port, c := range r.counters {
		now := c.Drops()
		for reason, n := range now {
			for range n - r.counted[port][reason] {
				list = append(list, fmt.Sprintf("port %d %s", port, reason))
			}
		}
		r.counted[port] = now
	}
	r.dropped += len(list)
	slices.Sort(list)
	return list
}

// conserved checks that every frame that entered or was made has left, was dropped, told the switch something, or waits.
func (r *rig) conserved(held int) {
	r.t.Helper()
	if r.in+r.made != r.out+r.dropped+r.noted+held {
		r.fail("%d frames entered and %d were made, but %d left, %d were dropped, %d were noted and %d wait",
			r.in, r.made, r.out, r.dropped, r.noted, held)
	}
}

// fail ends the test with all steps so far, which it also saves as a capture.
func (r *rig) fail(format string, args ...any) {
	r.t.Helper()
	var text strings.Builder
	for i, s := range r.steps {
		name := [...]string{"raw", "made", "wait", "pause", "tick", "hand", "scan", "static", "forget"}[s.op]
		fmt.Fprintf(&text, "%3d %s port %d wait %v holder %v mac %v%s\n", i, name, s.port, s.wait, s.holder, s.mac, describe(s.frames))
	}
	r.t.Fatalf("%sat %v: %s\n%s", &text, r.now, fmt.Sprintf(format, args...), r.saved())
}

// describe writes each frame on a line of its own; of long ones, the beginning.
func describe(frames []vswitch.Frame) string {
	var text strings.Builder
	for _, f := range frames {
		fmt.Fprintf(&text, "\n      %+v %d bytes %x", f.Offload, len(f.Data), f.Data[:min(len(f.Data), 120)])
	}
	return text.String()
}
