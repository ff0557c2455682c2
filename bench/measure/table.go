package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// print writes the results as tables for a terminal.
func (r *results) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, f := range r.Figures {
		better := "more is better"
		if f.Lower {
			better = "less is better"
		}
		fmt.Fprintf(w, "\n%s, %s (%s)\n", f.Name, f.Unit, better)
		if f.Note != "" {
			fmt.Fprintln(w, f.Note)
		}
		cost := ""
		if f.Cost != "" {
			cost = "CPU s/" + f.Cost
		}
		fmt.Fprintf(w, "candidate\tmedian\tmin\tmax\tratio\tto\tpodswitch/it\tto IPv4\t%s\t\n", cost)
		for _, row := range f.Rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", row.Candidate, number(row.Median), number(row.Min), number(row.Max),
				middle(row.Ratio), row.Baseline, middle(row.Ours), middle(row.IPv4), middle(row.CPU))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(to, "\n%d rounds of %d s on %d cores of %s, Linux %s.\n", r.Settings.Rounds, r.Settings.Seconds, r.Machine.Cores, r.Machine.CPU, r.Machine.Kernel)
	if r.Noise.Figure != "" {
		fmt.Fprintf(to, "Noise: the rounds of %s lie %.0f %% of their median apart (median over the figures), at worst %.0f %% (%s).\n",
			r.Noise.Candidate, 100*r.Noise.Typical, 100*r.Noise.Worst, r.Noise.Figure)
	}
	for _, a := range r.Absent {
		if a.Figure == "" {
			a.Figure = "all figures"
		}
		if _, err := fmt.Fprintf(to, "Not measured: %s, %s: %s\n", a.Candidate, a.Figure, a.Why); err != nil {
			return err
		}
	}
	return nil
}

// number formats a value with three digits, but at most two decimals.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func middle(s *spread) string {
	if s == nil {
		return ""
	}
	return number(s.Median)
}
