package dataplane

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
)

// FuzzSnapshot resumes from any bytes as a snapshot. The result is an error, or a switch whose own snapshot has the same state, and
// which a third switch resumes from with the same snapshot again.
func FuzzSnapshot(f *testing.F) {
	for _, seed := range []struct {
		name, text string
		bridge     bool
	}{
		{"nothing", ``, false},
		{"waiting", `{"address":{"state":"waiting","delegate":{"holder":"switch","guest_mac":"00:00:00:00:00:00","neighbours":null,"questions":null,"next_sweep_ns":0}},"ports":null}`, false},
		{"a guest with a lease", `{"address":{"state":"guest","absent":true,"absence_age_ns":5000,"lease":{"mac":"02:00:00:00:00:09","hostname":"vm","expires":"2026-01-02T00:00:00Z"},
			"owner_absent":true,"delegate":{"holder":"guest","guest_mac":"02:00:00:00:00:09","last_use_age_ns":7,"neighbours":[{"address":"10.244.1.9","mac":"02:00:00:00:00:08","age_ns":1,"wanted":true}]}},"ports":[]}`, false},
		{"released", `{"address":{"state":"released","delegate":{"holder":"switch"}}}`, false},
		{"the kernel's", `{"address":{"state":"kernel","delegate":{"holder":"kernel"}}}`, false},
		{"state and holder differ", `{"address":{"state":"waiting","delegate":{"holder":"guest"}}}`, false},
		{"absent without a time", `{"address":{"state":"waiting","absent":true,"delegate":{"holder":"switch"}}}`, false},
		{"absent for too long", `{"address":{"state":"waiting","absence_age_ns":9223372036854775807,"delegate":{"holder":"switch"}}}`, false},
		{"a lease of a multicast MAC", `{"address":{"state":"guest","lease":{"mac":"ff:ff:ff:ff:ff:ff"},"delegate":{"holder":"guest"}}}`, false},
		{"both", `{"address":{"state":"waiting","delegate":{"holder":"switch"}},"bridge":{"stations":null,"next_sweep_ns":0}}`, true},
		{"stations", `{"bridge":{"stations":[{"mac":"02:00:00:00:00:09","port":1,"age_ns":5}],"next_sweep_ns":0},"ports":[{"counters":{"rx_frames":1}}]}`, true},
		{"pending state of netstack", `{"bridge":{"stations":null},"ports":[{},{},{"pending":{"received":"AAAA"}}]}`, true},
	} {
		f.Add(seed.name, seed.text, seed.bridge)
	}
	f.Fuzz(func(t *testing.T, _ string, text string, bridge bool) {
		s, err := readSnapshot(&grant.Begin{Snapshot: json.RawMessage(text)}, nil, 2)
		if err != nil {
			return
		}
		first, ok := resumed(t, s, bridge)
		if !ok {
			return
		}
		if a, b := s.Address, first.Address; a != nil && (a.State != b.State || a.Absent != b.Absent || a.OwnerAbsent != b.OwnerAbsent ||
			(a.AbsenceAge == nil) != (b.AbsenceAge == nil) || !cmp.Equal(a.Lease, b.Lease)) {
			t.Errorf("the snapshot %s became\n%+v", text, b)
		}
		written, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		back, err := readSnapshot(&grant.Begin{Snapshot: written}, nil, 2)
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		second, ok := resumed(t, back, bridge)
		if !ok {
			t.Fatalf("the snapshot of a switch is refused: %s", written)
		}
		if rewritten, err := json.Marshal(second); err != nil || string(rewritten) != string(written) {
			t.Errorf("the snapshot\n%s\nbecame\n%s\n%v", written, rewritten, err)
		}
	})
}

// resumed returns the snapshot of a new switch, with a clock that does not move, after it has resumed from s. It is not ok if s is
// refused.
func resumed(t *testing.T, s *snapshot, bridge bool) (*snapshot, bool) {
	t.Helper()
	d := &pod{t: t}
	if !bridge {
		d.plan = delegatePlan(t)
	}
	unconnected := &session{}
	if bridge {
		b, err := newBridging(unconnected, d.grant(), zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		err = b.resume(s)
		after := b.snapshot()
		if after.Bridge != nil {
			for i := range after.Bridge.Stations {
				after.Bridge.Stations[i].Age = 0 // its clock moves
			}
			after.Bridge.NextSweep = 0
		}
		return &after, err == nil
	}
	l, err := newDelegation(unconnected, d.grant(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	l.clock = func() time.Duration { return time.Hour }
	err = l.resume(s)
	after := l.snapshot()
	return &after, err == nil
}
