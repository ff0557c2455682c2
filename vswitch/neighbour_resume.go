package vswitch

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/vnet"
)

// check tells what of a state the neighbours could not have learned themselves. checkFrame is called for each frame that waits.
func (n *neighbours) check(s *DelegateState, checkFrame func(f *HeldState) error) error {
	permanent := n.permanent()
	if count := len(s.Neighbours) + len(permanent); count > NeighbourLimit {
		return fmt.Errorf("neighbours: %d with the permanent ones, want at most %d", count, NeighbourLimit)
	}
	if err := checkFull(s.Full); err != nil {
		return err
	}
	err := unique("neighbours", s.Neighbours, func(e *NeighbourState) (netip.Addr, error) {
		if permanent[e.Address] {
			return e.Address, fmt.Errorf("address %v: is a permanent neighbour here, want one that was learned", e.Address)
		}
		return e.Address, n.checkKnown(e)
	})
	if err != nil {
		return err
	}
	return n.checkQuestions(s.Questions, checkFrame)
}

func (n *neighbours) checkQuestions(questions []QuestionState, checkFrame func(f *HeldState) error) error {
	waiting, held := 0, 0 // but for gateways, which are always asked for
	err := unique("questions", questions, func(q *QuestionState) (netip.Addr, error) {
		if err := n.checkQuestion(q); err != nil {
			return q.Address, err
		}
		for i := range q.Frames {
			if err := checkFrame(&q.Frames[i]); err != nil {
				return q.Address, fmt.Errorf("frames[%d]: %w", i, err)
			}
		}
		if !n.gateways[ipKey(q.Address)] {
			waiting++
			held += q.bytes()
		}
		return q.Address, nil
	})
	switch {
	case err != nil:
		return err
	case waiting > waitingLimit:
		return fmt.Errorf("questions: %d, want at most %d", waiting, waitingLimit)
	case held > heldBytes:
		return fmt.Errorf("questions: frames of %d bytes wait, want at most %d", held, heldBytes)
	}
	return nil
}

func (q *QuestionState) bytes() (n int) {
	for i := range q.Frames {
		n += len(q.Frames[i].Data)
	}
	return n
}

func (n *neighbours) checkKnown(e *NeighbourState) error {
	if !e.Address.Is4() || !n.isHost(ipKey(e.Address)) {
		return fmt.Errorf("address %q: want the IPv4 address of another host", e.Address)
	}
	if err := checkStation(e.MAC); err != nil {
		return err
	}
	return checkAge(e.Age)
}

func (n *neighbours) checkQuestion(q *QuestionState) error {
	switch {
	case !q.Address.Is4() || !n.isHost(ipKey(q.Address)) && !n.gateways[ipKey(q.Address)]:
		return fmt.Errorf("address %q: want the IPv4 address of another host", q.Address)
	case q.Tries < 0 || q.Tries > neighbourTries:
		return fmt.Errorf("tries %d: want at least 0, and at most %d", q.Tries, neighbourTries)
	case len(q.Frames) > heldPerNeighbour:
		return fmt.Errorf("frames: %d, want at most %d", len(q.Frames), heldPerNeighbour)
	}
	return checkAge(q.Age)
}

func (n *neighbours) permanent() map[netip.Addr]bool {
	permanent := make(map[netip.Addr]bool)
	n.table.each(func(key, value uint64, _ time.Duration) {
		if value&permanentNeighbour != 0 {
			permanent[addrFromKey(uint32(key))] = true
		}
	})
	return permanent
}

// resume goes on with a state that was checked, whose frames it copies. It reports false when frames wait here already, and then
// has done nothing.
func (n *neighbours) resume(s *DelegateState, now time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held > 0 {
		return false
	}
	n.table.remove(func(_, value uint64, _ time.Duration) bool { return value&permanentNeighbour == 0 })
	for _, e := range s.Neighbours {
		entry := e.MAC.key()
		if e.Asked {
			entry |= askedNeighbour
		}
		n.table.put(uint64(ipKey(e.Address)), entry, now-e.Age, neverExpires)
	}
	n.table.setFull(now + s.Full)
	clear(n.waiting)
	for _, asked := range s.Questions {
		q := &question{tries: asked.Tries, next: now - asked.Age + tickEvery}
		for _, f := range asked.Frames {
			q.frames = append(q.frames, heldFrame{Frame{vnet.Header(f.Offload), bytes.Clone(f.Data)}, f.Port, nil})
		}
		n.held += asked.bytes()
		n.waiting[ipKey(asked.Address)] = q
	}
	return true
}
