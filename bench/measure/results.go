package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// results has the data of the table, the chart and the JSON file.
type results struct {
	Machine  machine   `json:"machine"`
	Settings settings  `json:"settings"`
	Noise    noise     `json:"noise"`
	Absent   []absence `json:"absent"` // candidates and figures that were not measured
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

// noise is the relative spread of the rounds of one candidate: the difference between highest and lowest, divided by the median.
type noise struct {
	Candidate string  `json:"candidate"`
	Typical   float64 `json:"typical"` // the median over the figures
	Worst     float64 `json:"worst"`
	Figure    string  `json:"figure"` // figure with the worst spread
}

type absence struct {
	Candidate string `json:"candidate"`
	Figure    string `json:"figure,omitempty"` // empty: all figures
	Why       string `json:"why"`
}

// An outcome has one figure for all candidates.
type outcome struct {
	figure
	Rows []row `json:"candidates"`
}

// A row has one figure for one candidate.
type row struct {
	Candidate string    `json:"candidate"`
	Values    []float64 `json:"values"` // by round
	spread
	CPU      *spread `json:"cpu,omitempty"`      // seconds, divided by the figure's Cost
	Baseline string  `json:"baseline,omitempty"` // candidate whose value Ratio divides by
	Ratio    *spread `json:"ratio,omitempty"`    // value divided by that of the baseline, round by round
	Ours     *spread `json:"ours,omitempty"`     // value of podswitch divided by this one, round by round
	IPv4     *spread `json:"ipv4,omitempty"`     // of a figure of IPv6: value divided by that over IPv4 of the same candidate, round by round
}

// A series has the readings of one figure of one candidate, by round.
type series struct{ values, cpu, ipv4 map[int]float64 }

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
			r.readings[key][name] = &series{values: map[int]float64{}, cpu: map[int]float64{}, ipv4: map[int]float64{}}
		}
		r.readings[key][name].values[round] = reading.value
		r.readings[key][name].cpu[round] = reading.cpu
		if reading.ipv4 > 0 {
			r.readings[key][name].ipv4[round] = reading.ipv4
		}
	}
}

// conclude computes the outcomes from the readings, with candidates in the given order.
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
	result.IPv4 = ratio(own, &series{values: own.ipv4})
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

// noise returns the noise of the pump, or of the first candidate if the pump was not measured. It ignores figures with one round.
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
