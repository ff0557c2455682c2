package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestMissingPrograms checks that candidates and groups are recorded as absent on a machine with the programs of one peer only.
func TestMissingPrograms(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "pasta"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder)
	b := &bench{options: options{peers: folder, figures: []string{"tcp", "pps"}}, results: newResults(machine{}, settings{}), given: map[string]bool{}}
	var names []string
	for _, c := range b.present(candidates()) {
		names = append(names, c.name)
	}
	b.loads()
	for _, gone := range []string{"ovs", "vde_switch", "slirp4netns", "gvproxy"} {
		recorded := slices.ContainsFunc(b.results.Absent, func(a absence) bool { return a.Candidate == gone && a.Figure == "" && a.Why != "" })
		if slices.Contains(names, gone) || !recorded {
			t.Errorf("%s: present among %q, or not recorded in %+v", gone, names, b.results.Absent)
		}
	}
	if !slices.Contains(names, "pasta") || !slices.Contains(names, ourselves) {
		t.Errorf("%q: want pasta and podswitch", names)
	}
	last := b.results.Absent[len(b.results.Absent)-1]
	if last.Figure != "pps" || slices.ContainsFunc(b.results.Absent, func(a absence) bool { return a.Figure == "ports" }) {
		t.Errorf("%+v: want pps, which was selected, and not ports", last)
	}
	for _, g := range groups() {
		if got, want := b.wants(candidate{name: pump}, g, 0), g.name == "tcp"; got != want {
			t.Errorf("%s: %t, want %t", g.name, got, want)
		}
	}
}
