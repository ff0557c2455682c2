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
	return known, n.withinLimits(questions), n.table.UntilSweep(now)
}

// withinLimits returns the questions without those that exceed the limits: a question does not count while it is about a gateway, and counts from
// then on when the routes change (setUplink). check would refuse the state, in the next switch and in this one.
func (n *neighbours) withinLimits(questions []handover.Question) []handover.Question {
	count, held := 0, 0
	return slices.DeleteFunc(questions, func(q handover.Question) bool {
		cost := costOfAll(q.Frames)
		switch {
		case n.gateways[lookup.KeyOf(q.Address)]:
			return false
		case count == questionLimit || held+cost > heldByteLimit:
			return true
		}
		count, held = count+1, held+cost
		return false
	})
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
