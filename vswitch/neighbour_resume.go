package vswitch

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/vnet"
)

// check returns an error for a state that n could not reach itself. It calls checkFrame for each frame that waits.
func (n *neighbours) check(s *handover.Family, checkFrame func(f *handover.Frame) error) error {
	n.mu.Lock()
	isBusy := n.heldBytes > 0
	n.mu.Unlock()
	if isBusy {
		return errors.New("frames wait for neighbours already: want a forwarder that has processed none")
	}
	permanent := n.permanent()
	if count := len(s.Neighbours) + len(permanent); count > NeighbourLimit {
		return fmt.Errorf("neighbours: %d with the permanent ones, want at most %d", count, NeighbourLimit)
	}
	if err := checkNextSweep(s.NextSweep); err != nil {
		return err
	}
	err := checkList("neighbours", s.Neighbours, func(known *handover.Neighbour) (netip.Addr, error) {
		if permanent[known.Address] {
			return known.Address, fmt.Errorf("address %v is a permanent neighbour: want a learned one", known.Address)
		}
		return known.Address, n.checkNeighbour(known)
	})
	if err != nil {
		return err
	}
	return n.checkQuestions(s.Questions, checkFrame)
}

func (n *neighbours) checkQuestions(questions []handover.Question, checkFrame func(f *handover.Frame) error) error {
	count, held := 0, 0 // without those of gateways, which are not limited
	err := checkList("questions", questions, func(q *handover.Question) (netip.Addr, error) {
		if err := n.checkQuestion(q); err != nil {
			return q.Address, err
		}
		for i := range q.Frames {
			if err := checkFrame(&q.Frames[i]); err != nil {
				return q.Address, fmt.Errorf("frames[%d]: %w", i, err)
			}
		}
		if !n.gateways[lookup.KeyOf(q.Address)] {
			count++
			held += costOfAll(q.Frames)
		}
		return q.Address, nil
	})
	switch {
	case err != nil:
		return err
	case count > questionLimit:
		return fmt.Errorf("questions: %d, want at most %d", count, questionLimit)
	case held > heldByteLimit:
		return fmt.Errorf("questions: frames of a cost of %d bytes wait, want at most %d", held, heldByteLimit)
	}
	return nil
}

// costOfAll returns the sum of the costs of frames.
func costOfAll(frames []handover.Frame) (cost int) {
	for i := range frames {
		cost += costOf(frames[i].Data)
	}
	return cost
}

func (n *neighbours) checkNeighbour(known *handover.Neighbour) error {
	if !lookup.IsPlain(known.Address, n.isIPv6) || !n.isHost(lookup.KeyOf(known.Address)) {
		return fmt.Errorf("address %q: want the %s address of another host, without a zone", known.Address, familyName(n.isIPv6))
	}
	if err := checkStationMAC(known.MAC); err != nil {
		return err
	}
	if last := known.LastProbe; last != nil && (*last < 0 || *last >= known.Age) {
		return fmt.Errorf("last_probe_age_ns %d: want at least 0, and less than age_ns %d", int64(*last), int64(known.Age))
	}
	return checkAge(known.Age)
}

func (n *neighbours) checkQuestion(q *handover.Question) error {
	switch {
	case !lookup.IsPlain(q.Address, n.isIPv6) || !n.isHost(lookup.KeyOf(q.Address)) && !n.gateways[lookup.KeyOf(q.Address)]:
		return fmt.Errorf("address %q: want the %s address of another host, without a zone", q.Address, familyName(n.isIPv6))
	case q.Tries < 0 || q.Tries > neighbourTries:
		return fmt.Errorf("tries %d: want at least 0, and at most %d", q.Tries, neighbourTries)
	case costOfAll(q.Frames) > heldQueueLimit:
		return fmt.Errorf("frames of a cost of %d bytes, want at most %d", costOfAll(q.Frames), heldQueueLimit)
	}
	return checkAge(q.Age)
}

func (n *neighbours) permanent() map[netip.Addr]bool {
	permanent := make(map[netip.Addr]bool)
	n.table.Each(func(e lookup.Entry) {
		if neighbourValue(e.Value).isPermanent() {
			permanent[e.Key.Addr(n.isIPv6)] = true
		}
	})
	return permanent
}

// resume replaces what n has learned by a state that check has accepted, with these questions, and copies its frames.
func (n *neighbours) resume(s *handover.Family, questions []handover.Question, now time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table.Remove(func(e lookup.Entry) bool { return !neighbourValue(e.Value).isPermanent() })
	for i := range s.Neighbours {
		n.table.Set(neighbourEntry(&s.Neighbours[i], now))
	}
	n.table.DelaySweep(now + s.NextSweep)
	clear(n.questions)
	n.asked = [delegatePorts]int{}
	for i := range questions {
		n.resumeQuestion(&questions[i], now)
	}
}

func neighbourEntry(known *handover.Neighbour, now time.Duration) lookup.Entry {
	seen := now - known.Age
	probed := seen
	if known.LastProbe != nil {
		probed = now - *known.LastProbe
	}
	return lookup.Entry{Key: lookup.KeyOf(known.Address), Value: uint64(newNeighbourValue(MAC(known.MAC), known.Wanted)), Seen: seen, Probed: probed}
}

// resumeQuestion adds a question. It is the guest's if a frame of the guest waits, and the guest's share has room.
func (n *neighbours) resumeQuestion(asked *handover.Question, now time.Duration) {
	ip := lookup.KeyOf(asked.Address)
	q := &question{tries: asked.Tries, next: now - asked.Age + tickInterval, port: PortPod, seq: n.nextSeq}
	for _, f := range asked.Frames {
		q.add(n, heldFrame{Frame{vnet.Header(f.Offload), bytes.Clone(f.Data)}, f.Port, nil})
		if f.Port == PortGuest && n.asked[PortGuest] < guestQuestionLimit {
			q.port = PortGuest
		}
	}
	n.nextSeq++
	n.questions[ip] = q
	if !n.gateways[ip] {
		n.asked[q.port]++
	}
}
