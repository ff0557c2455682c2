package vswitch_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
)

// Every script has the same outcome if a new forwarder takes over after any one step, or after every step, with different clocks.
func TestTakeoverScripts(t *testing.T) {
	bridge, err := filepath.Glob("../testdata/switch/*.txt")
	delegate, err2 := filepath.Glob("../testdata/delegate/*.txt")
	if err != nil || err2 != nil || len(bridge) == 0 || len(delegate) == 0 {
		t.Fatalf("%d and %d scripts (%v, %v)", len(bridge), len(delegate), err, err2)
	}
	for _, file := range append(bridge, delegate...) {
		switch filepath.Base(file) {
		case "uplink-mac.txt", "ipv6-uplink-mac.txt", "ipv6-router-advertisements.txt":
			continue // an announcement that is due is not handed over
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseScript(filepath.Base(file), string(text))
		if err != nil {
			t.Fatal(err)
		}
		if s.bridge.ProbeID != 0 {
			continue // a plain switch, which is not taken over: its next process finds the loops again
		}
		for i := range s.steps {
			for name, clock := range clocks {
				once := func(step int) bool { return step == i }
				if err := interrupted(s, once, clock); err != nil {
					t.Errorf("%s, taken over after line %d, %s: %v", file, s.steps[i].line, name, err)
				}
			}
		}
		for name, clock := range clocks {
			if err := interrupted(s, func(int) bool { return true }, clock); err != nil {
				t.Errorf("%s, taken over after every line, %s: %v", file, name, err)
			}
		}
	}
}

// clocks return the time of the second process's clock for a time of the first process's.
var clocks = map[string]func(now time.Duration) time.Duration{
	"a new process":    func(time.Duration) time.Duration { return 12345 },
	"an older process": func(now time.Duration) time.Duration { return now + 98765*time.Second + 1 },
}

// interrupted runs a script and replaces the forwarder after some of the steps.
func interrupted(s *script, after func(step int) bool, clock func(time.Duration) time.Duration) error {
	r := newRun(s)
	for i := range s.steps {
		step := &s.steps[i]
		if diff := r.do(step); diff != "" {
			return fmt.Errorf("line %d: %s\n%s", step.line, step.text, diff)
		}
		if !after(i) {
			continue
		}
		next, err := r.takeOver(step.at, clock)
		if err != nil {
			return err
		}
		r = next
	}
	return nil
}

// takeOver returns a run that continues from the state of r, passed on as JSON.
func (r *run) takeOver(at time.Duration, clock func(time.Duration) time.Duration) (*run, error) {
	now := at + r.ahead
	next := newRunOf(r.script, r.cfg)
	then := clock(now)
	next.ahead = then - at
	for i, c := range append(r.counters, r.ticked) {
		if err := passOn(c.State(), append(next.counters, next.ticked)[i].Resume); err != nil {
			return nil, err
		}
	}
	if r.delegate != nil {
		next.expected, next.takes = r.expected, r.takes
		for _, v := range next.families() {
			v.ExpectGuest(r.expected)
		}
		return next, passOn(r.delegate.State(now), func(s handover.Delegate) error { return next.delegate.Resume(s, then) })
	}
	for _, s := range r.bridge.Stations(now) {
		if s.Static {
			next.bridge.SetStatic(s.MAC, s.Port, then)
		}
	}
	return next, passOn(r.bridge.State(now), func(s handover.Bridge) error { return next.bridge.Resume(s, then) })
}

// passOn encodes a state as JSON, decodes it and passes it to resume.
func passOn[S any](state S, resume func(S) error) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	var got S
	if err := json.Unmarshal(text, &got); err != nil {
		return err
	}
	return resume(got)
}
