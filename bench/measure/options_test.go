package main

import (
	"errors"
	"testing"
)

func TestParseOptions(t *testing.T) {
	o, err := parse([]string{"-only", "pump,podswitch", "-figures", "tcp,pps", "-rounds", "5"})
	if err != nil || len(o.only) != 2 || len(o.figures) != 2 || o.rounds != 5 || o.seconds != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-figures", "speed"}, {"-rounds", "0"}, {"-seconds", "0"}, {"5", "5"}, {"-fast"}} {
		if _, err := parse(bad); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v, want a wrong command line", bad, err)
		}
	}
}

func TestChosenCandidates(t *testing.T) {
	got, err := options{only: []string{pump, ourselves}}.candidates(candidates())
	if err != nil || len(got) != 2 || got[0].name != ourselves || got[1].name != pump {
		t.Errorf("%+v, %v: want podswitch and pump in the table's order", got, err)
	}
	if _, err := (options{only: []string{"nonexistent"}}).candidates(candidates()); !errors.Is(err, errUsage) {
		t.Errorf("an unknown candidate: %v", err)
	}
}

// TestTableOfCandidates checks that the table refers only to existing candidates and groups.
func TestTableOfCandidates(t *testing.T) {
	names, groupNames := map[string]bool{}, map[string]bool{}
	for _, c := range candidates() {
		if names[c.name] {
			t.Errorf("%s: twice", c.name)
		}
		names[c.name] = true
	}
	for _, g := range groups() {
		groupNames[g.name] = true
	}
	for _, c := range candidates() {
		if !names[c.baseline] || c.baseline == c.name {
			t.Errorf("%s: baseline %q", c.name, c.baseline)
		}
		for _, g := range c.groups {
			if !groupNames[g] {
				t.Errorf("%s: group %q", c.name, g)
			}
		}
	}
}

func TestWants(t *testing.T) {
	all := groups()
	by := func(name string) group {
		for _, g := range all {
			if g.name == name {
				return g
			}
		}
		t.Fatalf("no group %q", name)
		return group{}
	}
	b := &bench{options: options{figures: []string{"tcp", "idle", "startup", "ports", "ipv6"}}, given: map[string]bool{"slow": true, "badtcp": true}}
	for _, test := range []struct {
		candidate candidate
		group     string
		round     int
		want      bool
	}{
		{candidate{name: pump}, "tcp", 0, true},
		{candidate{name: pump}, "pps", 0, false}, // not selected
		{candidate{name: pump}, "idle", 0, true},
		{candidate{name: pump}, "idle", 1, false}, // first round only
		{candidate{name: pump}, "ports", 0, false},
		{candidate{name: pump}, "startup", 0, false},
		{candidate{name: ourselves, leases: true}, "startup", 1, true},
		{candidate{name: "pasta"}, "ipv6", 0, false},
		{candidate{name: ourselves, ipv6: true}, "ipv6", 1, true},
		{candidate{name: "few", groups: []string{"ports"}, ipv6: true}, "ipv6", 0, false},
		{candidate{name: "few", groups: []string{"ports"}}, "ports", 0, true},
		{candidate{name: "few", groups: []string{"ports"}}, "tcp", 0, false},
		{candidate{name: "slow"}, "tcp", 0, false}, // the candidate has failed
		{candidate{name: "bad"}, "tcp", 0, false},  // this group has failed
		{candidate{name: "bad"}, "idle", 0, true},
	} {
		if got := b.wants(test.candidate, by(test.group), test.round); got != test.want {
			t.Errorf("%s %s round %d: %t, want %t", test.candidate.name, test.group, test.round, got, test.want)
		}
	}
}
