package vswitch

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
)

// state returns the learned neighbours, the questions with copies of their frames, and the time until the next sweep.
func (n *neighbours) state(now time.Duration) (known []handover.Neighbour, questions []handover.Question, nextSweep time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table.each(func(e entry) {
		if !neighbourValue(e.value).isPermanent() {
			known = append(known, n.neighbourState(e, now))
		}
	})
	for ip, q := range n.questions {
		questions = append(questions, q.state(ip.addr(n.isIPv6), now))
	}
	slices.SortFunc(known, func(a, b handover.Neighbour) int { return a.Address.Compare(b.Address) })
	slices.SortFunc(questions, func(a, b handover.Question) int { return a.Address.Compare(b.Address) })
	return known, questions, n.table.untilSweep(now)
}

func (n *neighbours) neighbourState(e entry, now time.Duration) handover.Neighbour {
	value := neighbourValue(e.value)
	s := handover.Neighbour{
		Address: e.key.addr(n.isIPv6), MAC: handover.MAC(value.mac()), Age: ageOf(e.seen, now), Wanted: value.isWanted(),
	}
	if e.probed > e.seen {
		age := ageOf(e.probed, now)
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
