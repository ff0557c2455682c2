package dataplane

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/vswitch"
)

// TestLearned: a switch reports the state of the address and the guest's MAC when it has started and after each change. The next switch
// continues from that after the first one was killed, and reports the same.
func TestLearned(t *testing.T) {
	mac := vswitch.MAC{2, 0, 0, 0, 0, 9}
	d := newPod(t, delegatePlan(t))
	first := d.start(false, nil)
	first.reachWork(nil)
	if a := learnedBy(t, first); a.State != "waiting" || !vswitch.MAC(a.Delegate.GuestMAC).IsZero() {
		t.Errorf("after the start it reports %+v", a)
	}
	if _, err := d.ends[0].Write(announcement(mac)); err != nil {
		t.Fatal(err)
	}
	report := first.expect("learned").Learned.State
	if a, err := readLearned(report); err != nil || a.State != "guest" || vswitch.MAC(a.Delegate.GuestMAC) != mac {
		t.Errorf("after a use of the address it reports %s, %v", report, err)
	}
	first.Close()
	first.expectEnd("the keeper has ended")
	next := d.start(false, nil)
	next.reachReady()
	next.send(grant.Message{Begin: &grant.Begin{Resumed: true, Learned: report}})
	next.expect("started")
	if a := learnedBy(t, next); a.State != "guest" || vswitch.MAC(a.Delegate.GuestMAC) != mac {
		t.Errorf("the next one reports %+v", a)
	}
	next.stop()
}

// TestLearnedUntilTheStop: a switch that has stopped reports nothing more. After a pause the next one continues from the report before, and
// cannot use one in which the kernel has the address.
func TestLearnedUntilTheStop(t *testing.T) {
	k := newPod(t, delegatePlan(t)).start(false, nil)
	k.reachReady()
	d, err := newDelegation(&session{}, k.grant(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	d.applyAll(taken)
	d.applyAll(stop)
	var r reporter
	if d.report(&r); r.sent {
		t.Errorf("it reports %+v", r.last)
	}
}

// TestLearnedAtOneTime: a report that is made while the holder changes has the state and the forwarder of the same time.
func TestLearnedAtOneTime(t *testing.T) {
	k := newPod(t, delegatePlan(t)).start(false, nil)
	k.reachReady()
	d, err := newDelegation(&session{}, k.grant(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	d.applyAll(taken)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 20000 {
			d.addresses[0].apply(use, vswitch.MAC{2, 0, 0, 0, 0, 9})
			d.addresses[0].apply(absenceExpired, vswitch.MAC{})
		}
	}()
	for changing := true; changing; {
		select {
		case <-ended:
			changing = false
		default:
		}
		a := d.learned()
		if _, err := a.familyState.check(&a.Delegate.Family); err != nil {
			t.Fatal(err)
		}
	}
}

func learnedBy(t *testing.T, k *fakeKeeper) *addressState {
	t.Helper()
	a, err := readLearned(k.expect("learned").Learned.State)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestLearnedNotUsable: a switch that cannot use what the one before has reported starts without it, and answers for the address.
func TestLearnedNotUsable(t *testing.T) {
	d := newPod(t, delegatePlan(t))
	for name, text := range map[string]string{
		"nothing":         "",
		"no state":        `{}`,
		"the kernel":      `{"state":"kernel","delegate":{"holder":"kernel"}}`,
		"a neighbour":     `{"state":"guest","delegate":{"holder":"guest","neighbours":[{"address":"10.244.1.9","mac":"02:00:00:00:00:08"}]}}`,
		"a bad lease":     `{"state":"guest","lease":{"mac":"ff:ff:ff:ff:ff:ff","expires":"2026-01-02T00:00:00Z"},"delegate":{"holder":"guest"}}`,
		"an absent guest": `{"state":"waiting","absent":true,"absence_age_ns":1,"delegate":{"holder":"switch"}}`,
		"not an object":   `[1]`,
	} {
		t.Run(name, func(t *testing.T) {
			k := d.start(false, nil)
			k.reachReady()
			k.send(grant.Message{Begin: &grant.Begin{Resumed: true, Learned: json.RawMessage(text)}})
			k.expect("started")
			if a := learnedBy(t, k); a.State != "waiting" || a.Lease != nil {
				t.Errorf("it reports %+v", a)
			}
			k.stop()
		})
	}
}

// FuzzLearned starts a switch from any bytes as the report of another one. The switch answers for the address then, or its guest does,
// and its own report is usable and fits into a message.
func FuzzLearned(f *testing.F) {
	for _, seed := range []string{
		``, `{"state":"waiting","delegate":{"holder":"switch"}}`,
		`{"state":"guest","lease":{"mac":"02:00:00:00:00:09","hostname":"vm","expires":"2026-01-02T00:00:00Z"},"owner_absent":true,
			"delegate":{"holder":"guest","guest_mac":"02:00:00:00:00:09","last_use_age_ns":7}}`,
		`{"state":"guest","lease":{"mac":"02:00:00:00:00:09","hostname":"` + strings.Repeat("\x7f", maxHostName) + `","expires":"2026-01-02T00:00:00Z"},
			"delegate":{"holder":"guest","guest_mac":"02:00:00:00:00:09","neighbours":null,"questions":null,"next_sweep_ns":9}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := newDelegation(&session{}, (&pod{t: t, plan: delegatePlan(t)}).grant(), zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		d.clock = func() time.Duration { return time.Hour }
		d.recall(json.RawMessage(text))
		if d.addresses[0].state == kernel {
			t.Errorf("nothing answers for the address after %q", text)
		}
		report, err := json.Marshal(d.learned())
		if err != nil {
			t.Fatal(err)
		}
		if a, err := readLearned(report); err != nil || len(report) > 2048 {
			t.Errorf("it reports %d bytes, %v: %s", len(report), err, report)
		} else if _, err := a.check(&a.Delegate.Family); err != nil {
			t.Errorf("it reports %s: %v", report, err)
		}
	})
}
