package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// results are what the table, the chart and the file are made of.
type results struct {
	Machine  machine   `json:"machine"`
	Settings settings  `json:"settings"`
	Noise    noise     `json:"noise"`
	Absent   []absence `json:"absent"` // what was not measured, and why
	Figures  []outcome `json:"figures"`

	readings map[string]map[string]*series // by figure and candidate
	order    []figure
}

type machine struct {
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
}

type settings struct {
	Rounds  int `json:"rounds"`
	Seconds int `json:"seconds"`
}

// noise is how far the rounds of one candidate lie apart: relative to their median, over all figures.
type noise struct {
	Candidate string  `json:"candidate"`
	Typical   float64 `json:"typical"` // the median over the figures
	Worst     float64 `json:"worst"`
	Figure    string  `json:"figure"` // which has the worst
}

type absence struct {
	Candidate string `json:"candidate"`
	Figure    string `json:"figure,omitempty"` // empty: all of them
	Why       string `json:"why"`
}

// An outcome is one figure of all candidates.
type outcome struct {
	figure
	Rows []row `json:"candidates"`
}

// A row is one figure of one candidate.
type row struct {
	Candidate string    `json:"candidate"`
	Values    []float64 `json:"values"` // by round
	spread
	CPU      *spread `json:"cpu,omitempty"`      // seconds for each of the figure's cost
	Baseline string  `json:"baseline,omitempty"` // whom the ratio is to
	Ratio    *spread `json:"ratio,omitempty"`    // this one's value by the baseline's, round by round
	Ours     *spread `json:"ours,omitempty"`     // podswitch's value by this one's, round by round
}

// series are the readings of one figure of one candidate, by round.
type series struct{ values, cpu map[int]float64 }

func newResults(m machine, s settings) *results {
	return &results{Machine: m, Settings: s, Absent: []absence{}, readings: map[string]map[string]*series{}}
}

func (r *results) add(name string, round int, readings []reading) {
	for _, reading := range readings {
		key := reading.figure.Name
		if r.readings[key] == nil {
			r.readings[key] = map[string]*series{}
			r.order = append(r.order, reading.figure)
		}
		if r.readings[key][name] == nil {
			r.readings[key][name] = &series{values: map[int]float64{}, cpu: map[int]float64{}}
		}
		r.readings[key][name].values[round] = reading.value
		r.readings[key][name].cpu[round] = reading.cpu
	}
}

// conclude makes the outcomes of the readings. Candidates stand in the order given.
func (r *results) conclude(all []candidate) {
	r.Figures = []outcome{}
	for _, figure := range r.order {
		of := r.readings[figure.Name]
		result := outcome{figure: figure}
		for _, c := range all {
			if of[c.name] != nil {
				result.Rows = append(result.Rows, makeRow(c, figure, of))
			}
		}
		r.Figures = append(r.Figures, result)
	}
	r.Noise = r.noise(all)
}

func makeRow(c candidate, f figure, of map[string]*series) row {
	own := of[c.name]
	result := row{Candidate: c.name, Values: byRound(own.values), spread: spreadOf(byRound(own.values))}
	if cpu := spreadOf(byRound(own.cpu)); f.Cost != "" && cpu.Max > 0 {
		result.CPU = &cpu
	}
	if base := of[c.baseline]; base != nil {
		result.Baseline = c.baseline
		result.Ratio = ratio(own, base)
	}
	if us := of[ourselves]; us != nil && c.name != ourselves {
		result.Ours = ratio(us, own)
	}
	return result
}

func ratio(of, to *series) *spread {
	all := ratios(of.values, to.values)
	if len(all) == 0 {
		return nil
	}
	s := spreadOf(all)
	return &s
}

func byRound(values map[int]float64) []float64 {
	rounds := make([]int, 0, len(values))
	for round := range values {
		rounds = append(rounds, round)
	}
	slices.Sort(rounds)
	sorted := make([]float64, len(rounds))
	for i, round := range rounds {
		sorted[i] = values[round]
	}
	return sorted
}

// noise is the bare pump's, or where that was not measured the first candidate's. A figure of one round tells nothing.
func (r *results) noise(all []candidate) noise {
	name := pump
	if !slices.ContainsFunc(r.order, func(f figure) bool { return r.readings[f.Name][pump] != nil }) && len(all) > 0 {
		name = all[0].name
	}
	found := noise{Candidate: name}
	var relative []float64
	for _, f := range r.order {
		s := r.readings[f.Name][name]
		if s == nil || len(s.values) < 2 {
			continue
		}
		one := spreadOf(byRound(s.values)).relative()
		relative = append(relative, one)
		if one > found.Worst {
			found.Worst, found.Figure = one, f.Name
		}
	}
	if len(relative) > 0 {
		found.Typical = spreadOf(relative).Median
	}
	return found
}

func (r *results) write(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}
