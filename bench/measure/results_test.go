package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values   []float64
		want     spread
		relative float64
	}{
		{[]float64{3}, spread{3, 3, 3}, 0},
		{[]float64{4, 1, 2}, spread{2, 1, 4}, 1.5},
		{[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}, 1.2},
		{[]float64{0, 0, 5}, spread{0, 0, 5}, 0},
	} {
		got := spreadOf(test.values)
		if got != test.want || got.relative() != test.relative {
			t.Errorf("%v: %+v, relative %v; want %+v, %v", test.values, got, got.relative(), test.want, test.relative)
		}
	}
}

func TestRatiosPairRounds(t *testing.T) {
	got := ratios(map[int]float64{0: 2, 1: 9, 2: 8, 3: 1}, map[int]float64{0: 1, 2: 2, 3: 0, 4: 7})
	slices.Sort(got)
	if want := []float64{2, 4}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v: rounds 1 and 4 have no partner, and 3 divides by 0", got, want)
	}
}

// example has two rounds, on a fast and on a slow machine, with equal ratios.
func example() *results {
	f := tcpFigure(ways[0], 1, 1500, cubic)
	f.Note = "how to read the figure"
	r := newResults(machine{Kernel: "6.1", CPU: "A CPU", Cores: 2}, settings{Rounds: 2, Seconds: 1})
	for round, speed := range []float64{10, 5} {
		r.add(pump, round, []reading{{figure: f, value: speed, cpu: 0.8}})
		r.add(ourselves, round, []reading{{figure: f, value: 1.2 * speed, cpu: 0.4}})
	}
	r.add(bridge, 0, []reading{{figure: f, value: 20}})
	r.Absent = append(r.Absent, absence{Candidate: "vde_switch", Why: "needs vde_switch"})
	r.conclude(candidates())
	return r
}

func TestConclude(t *testing.T) {
	r := example()
	if len(r.Figures) != 1 || len(r.Figures[0].Rows) != 3 {
		t.Fatalf("%+v: want one figure of three candidates", r.Figures)
	}
	us, base, limit := r.Figures[0].Rows[0], r.Figures[0].Rows[1], r.Figures[0].Rows[2]
	if us.Candidate != ourselves || us.Baseline != pump || *us.Ratio != (spread{1.2, 1.2, 1.2}) || us.Ours != nil || us.CPU.Median != 0.4 {
		t.Errorf("podswitch: %+v", us)
	}
	if base.Candidate != pump || *base.Ours != (spread{1.2, 1.2, 1.2}) || base.Ratio.Median != 0.5 {
		t.Errorf("pump: %+v: only the first round has a bridge, which is twice as fast", base)
	}
	if limit.CPU != nil {
		t.Errorf("the kernel bridge has no process, yet CPU %+v", limit.CPU)
	}
	if r.Noise.Candidate != pump || r.Noise.Worst != 5/7.5 || r.Noise.Typical != r.Noise.Worst {
		t.Errorf("noise: %+v", r.Noise)
	}
}

// TestIPv6BesideIPv4 has the ratio of a figure of IPv6 to its value over IPv4, round by round, in a table of its own.
func TestIPv6BesideIPv4(t *testing.T) {
	r := example()
	figure := tcpFigure(ways6[0], 1, 1500, cubic)
	for round, speed := range []float64{10, 5} {
		once := func(speed float64) measurement {
			return func(context.Context, *session) ([]reading, error) {
				return []reading{{figure: figure, value: speed}}, nil
			}
		}
		readings, err := afterIPv4(once(speed), once(0.9*speed))(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.add(ourselves, round, readings)
	}
	before := r.markdown()
	r.conclude(candidates())
	if got := r.Figures[1].Rows[0]; got.IPv4 == nil || *got.IPv4 != (spread{0.9, 0.9, 0.9}) || r.Figures[0].Rows[0].IPv4 != nil {
		t.Fatalf("%+v", r.Figures)
	}
	page, found := strings.CutPrefix(r.markdown(), before)
	if !found || !strings.Contains(page, "| TCP out, 1 flow, MTU 1500, IPv6, Gbit/s | 6.75 (0.90) | | | |") {
		t.Errorf("the third table is\n%s", page)
	}
	fault := errors.New("refused")
	fails := func(context.Context, *session) ([]reading, error) { return nil, fault }
	if _, err := afterIPv4(fails, fails)(t.Context(), nil); !errors.Is(err, fault) {
		t.Errorf("%v, want the fault", err)
	}
}

func TestResultsShape(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	if err := example().write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Machine struct{ Cores int }
		Absent  []struct{ Candidate, Why string }
		Figures []struct {
			Name, Unit    string
			LowerIsBetter *bool
			Candidates    []struct {
				Candidate string
				Values    []float64
				Median    *float64
				CPU       *struct{ Median float64 }
				Baseline  string
				Ratio     *struct{ Median, Min, Max float64 }
			}
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	first := got.Figures[0]
	row := first.Candidates[0]
	if got.Machine.Cores != 2 || got.Absent[0].Candidate != "vde_switch" || first.Unit != "Gbit/s" || first.LowerIsBetter == nil ||
		!slices.Equal(row.Values, []float64{12, 6}) || row.Median == nil || *row.Median != 9 || row.CPU == nil || row.Ratio == nil {
		t.Errorf("the file lacks something:\n%s", text)
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	if err := example().print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"TCP out, 1 flow, MTU 1500, Gbit/s (more is better)",
		"CPU s/GB",
		"how to read the figure",
		"1.20", // the ratio
		"Noise: the rounds of pump lie 67 % of their median apart",
		"Not measured: vde_switch, all figures: needs vde_switch",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the table:\n%s", want, out.String())
		}
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{0: "0.00", 1.234: "1.23", 12.34: "12.3", 1234.5: "1234", 99.99: "100.0"} {
		if got := number(value); got != want {
			t.Errorf("number(%v) = %q, want %q", value, got, want)
		}
	}
}

func TestChart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chart.svg")
	if err := example().draw(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "podswitch", "kernel-bridge", "</svg>"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in the chart", want)
		}
	}
}
