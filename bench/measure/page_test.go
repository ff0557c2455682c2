package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The page and the lines around its tables.
const (
	pagePath  = "../../docs/performance.md"
	pageBegin = "<!-- results: begin -->\n"
	pageEnd   = "<!-- results: end -->\n"
)

var update = flag.Bool("update", false, "write the table of docs/performance.md")

// TestPage compares the tables in docs/performance.md with bench/results.json. With -update it writes them.
func TestPage(t *testing.T) {
	var r results
	text, err := os.ReadFile("../results.json")
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, opened := strings.Cut(string(page), pageBegin)
	_, after, closed := strings.Cut(rest, pageEnd)
	if !opened || !closed {
		t.Fatalf("%s has no lines %q and %q", pagePath, strings.TrimSpace(pageBegin), strings.TrimSpace(pageEnd))
	}
	want := before + pageBegin + r.markdown() + pageEnd + after
	switch {
	case string(page) == want:
	case *update:
		if err := os.WriteFile(pagePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table of %s is not that of bench/results.json: go test ./bench/measure -run TestPage -update", pagePath)
	}
}

// markdown returns two tables, and a third one if there are figures of IPv6. The first one has the candidates with all figures, with the
// ratio of podswitch to each; the second one has the others, with the ratio of each to its baseline; the third one has the figures of IPv6,
// with the ratio of each to that of the same candidate over IPv4.
func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rounds of %d s on %d cores of %s, Linux %s. The rounds of %s lie %.0f %% of their median apart (median over the figures), "+
		"at worst %.0f %% (%s). In brackets podswitch divided by it.\n\n", r.Settings.Rounds, r.Settings.Seconds, r.Machine.Cores, r.Machine.CPU,
		r.Machine.Kernel, r.Noise.Candidate, 100*r.Noise.Typical, 100*r.Noise.Worst, r.Noise.Figure)
	var all, some, both []string
	for _, c := range candidates() {
		if c.ipv6 {
			both = append(both, c.name)
		}
		if c.groups == nil {
			all = append(all, c.name)
		} else {
			some = append(some, c.name)
		}
	}
	r.table(&b, all, isIPv4, func(row row) *spread { return row.Ours })
	b.WriteString("\nIn brackets the same divided by its baseline: of podswitch-plain pump-plain, of switches with idle ports podswitch-switch.\n\n")
	r.table(&b, some, isIPv4, func(row row) *spread { return row.Ratio })
	if isIPv6 := func(f outcome) bool { return !isIPv4(f) }; slices.ContainsFunc(r.Figures, isIPv6) {
		b.WriteString("\nThe same over IPv6. In brackets divided by the value of the same candidate over IPv4, which was measured immediately before.\n\n")
		r.table(&b, both, isIPv6, func(row row) *spread { return row.IPv4 })
	}
	return b.String()
}

// isIPv4 reports whether a figure has no values over IPv4 beside it.
func isIPv4(f outcome) bool {
	return !slices.ContainsFunc(f.Rows, func(r row) bool { return r.IPv4 != nil })
}

// table writes a line for each figure of the columns, and another one for its CPU time.
func (r *results) table(b *strings.Builder, columns []string, wanted func(outcome) bool, ratio func(row) *spread) {
	fmt.Fprintf(b, "| | %s |\n|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, f := range r.Figures {
		if !wanted(f) || !slices.ContainsFunc(f.Rows, func(r row) bool { return slices.Contains(columns, r.Candidate) }) {
			continue
		}
		line(b, f.Name+", "+f.Unit, columns, f, func(row row) string { return beside(number(row.Median), ratio(row)) })
		if f.Cost != "" {
			line(b, "CPU of it, s/"+f.Cost, columns, f, func(row row) string { return middle(row.CPU) })
		}
	}
}

func beside(value string, ratio *spread) string {
	if ratio == nil {
		return value
	}
	return value + " (" + number(ratio.Median) + ")"
}

func line(b *strings.Builder, name string, columns []string, f outcome, cell func(row) string) {
	fmt.Fprintf(b, "| %s |", name)
	for _, c := range columns {
		at := slices.IndexFunc(f.Rows, func(r row) bool { return r.Candidate == c })
		if at < 0 {
			b.WriteString(" |")
			continue
		}
		fmt.Fprintf(b, " %s |", cell(f.Rows[at]))
	}
	b.WriteString("\n")
}
