package vswitch

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/internal/lookup"
)

// state returns the learned neighbours, the questions with copies of their frames, and the time until the next sweep.
func (n *neighbours) state(now time.Duration) (known []handover.Neighbour, questions []handover.Question, nextSweep time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table.Each(func(e lookup.Entry) {
		if !neighbourValue(e.Value).isPermanent() {
			known = append(known, n.neighbourState(e, now))
		}
	})
	for ip, q := range n.questions {
		questions = append(questions, q.state(ip.Addr(n.isIPv6), now))
	}
	slices.SortFunc(known, func(a, b handover.Neighbour) int { return a.Address.Compare(b.Address) })
	slices.SortFunc(questions, func(a, b handover.Question) int { return a.Address.Compare(b.Address) })
	return known, questions, n.table.UntilSweep(now)
}

func (n *neighbours) neighbourState(e lookup.Entry, now time.Duration) handover.Neighbour {
	value := neighbourValue(e.Value)
	s := handover.Neighbour{
		Address: e.Key.Addr(n.isIPv6), MAC: handover.MAC(value.mac()), Age: ageOf(e.Seen, now), Wanted: value.isWanted(),
	}
	if e.Probed > e.Seen {
		age := ageOf(e.Probed, now)
		s.LastProbe = &age
	}
	return s
}

func (q *question) state(ip netip.Addr, now time.Duration) handover.Question {
	s := handover.Question{Address: ip, Tries: q.tries, Age: ageOf(q.next-tickInterval, now)}
	for _, f := range q.frames {
		s.Frames = append(s.Frames, handover.Frame{Port: f.port, Offload: handover.Offload(f.Offload), Data: bytes.Clone(f.Data)})
	}
	return s
}
