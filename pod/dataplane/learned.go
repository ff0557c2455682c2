package dataplane

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/pod/grant"
)

// A switch that ends unasked leaves no snapshot. It therefore reports to the keeper, while it works, what the next switch cannot learn
// anew: the state of the address, the guest's MAC and the guest's lease. Neighbours are resolved again.

// reportEvery bounds the rate of reports: a guest decides how often its lease changes. A change that comes sooner is reported by the
// ticker of background.
const reportEvery = 100 * time.Millisecond

// A reporter sends Learned. The goroutine of background has it.
type reporter struct {
	last learnedState // reported last
	at   time.Duration
	sent bool
}

// A learnedState is the part of an addressState whose change is worth a report.
type learnedState struct {
	ipv4     familyState
	ipv6     *familyState
	guestMAC [2]handover.MAC // by IPv4 and by IPv6
}

// learned returns what the next switch has to know.
func (d *delegation) learned() *addressState {
	return d.addressState(func() handover.Delegate { return d.delegate.GuestState(d.clock()) })
}

// key returns what reports are compared by.
func (state *addressState) key() learnedState {
	k := learnedState{ipv4: state.familyState, ipv6: state.IPv6}
	k.guestMAC[0] = state.Delegate.GuestMAC
	if state.Delegate.IPv6 != nil {
		k.guestMAC[1] = state.Delegate.IPv6.GuestMAC
	}
	return k
}

// stopped reports whether the switch has stopped answering for an address.
func (state *addressState) stopped() bool {
	return state.State == kernel.String() || state.IPv6 != nil && state.IPv6.State == kernel.String()
}

// report sends Learned if something has changed since the last one, until the switch stops: the next one continues from what was before. An error
// means that the session has ended, which ends the switch.
func (d *delegation) report(r *reporter) {
	now := d.clock()
	if r.sent && now-r.at < reportEvery {
		return
	}
	a := d.learned()
	if a.stopped() || r.sent && reflect.DeepEqual(a.key(), r.last) {
		return
	}
	text, err := json.Marshal(a)
	if err != nil {
		d.log.Error("state not reported to the keeper", zap.Error(err))
		return
	}
	r.last, r.at, r.sent = a.key(), now, true
	_ = d.session.conn.Send(grant.Message{Learned: &grant.Learned{State: text}})
}

// noteChange makes background report.
func (d *delegation) noteChange() {
	select {
	case d.changed <- struct{}{}:
	default: // background has not read the last one yet
	}
}

// recall implements mode. A state that is not usable is no reason to end: its writer may have crashed because of it.
func (d *delegation) recall(text json.RawMessage) {
	a, err := readLearned(text)
	if err == nil && a != nil {
		err = d.resume(&snapshot{Address: a})
	}
	if err != nil {
		d.log.Warn("what the switch before this one has reported is not usable", zap.Error(err))
	}
	if err != nil || a == nil {
		d.applyAll(taken)
	}
}

// readLearned reads the report of another switch, which is not trusted. It returns nil for an empty text.
func readLearned(text json.RawMessage) (*addressState, error) {
	if len(text) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	a := &addressState{}
	if err := decoder.Decode(a); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("report: want one object, with nothing after it")
	}
	known := len(a.Delegate.Neighbours) + len(a.Delegate.Questions)
	if v6 := a.Delegate.IPv6; v6 != nil {
		known += len(v6.Neighbours) + len(v6.Questions)
	}
	if known > 0 || a.Absent || a.AbsenceAge != nil {
		return nil, errors.New("report: want no neighbours and no absence")
	}
	return a, nil
}
