package main

import (
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/podswitch/podswitch/host/missing"
)

// present returns the candidates whose programs the machine has, and records the others as absent.
func (b *bench) present(all []candidate) []candidate {
	return slices.DeleteFunc(slices.Clone(all), func(c candidate) bool {
		for _, n := range c.needs {
			if err := b.lacks(c, n); err != nil {
				b.results.Absent = append(b.results.Absent, absence{Candidate: c.name, Why: err.Error()})
				return true
			}
		}
		return false
	})
}

func (b *bench) lacks(c candidate, n need) error {
	program, give := n.program, "run bench/peers"
	if n.give == "" {
		program = filepath.Join(b.peers, program)
	} else {
		give = "Debian's package " + n.give + ": " + give
	}
	if _, err := exec.LookPath(program); err != nil {
		return &missing.Error{What: "measure " + c.name, Need: filepath.Base(n.program), Give: give}
	}
	return nil
}

// loads records the selected groups whose load program the machine lacks as absent.
func (b *bench) loads() {
	for _, g := range groups() {
		if g.load == "" || !slices.Contains(b.figures, g.name) {
			continue
		}
		if _, err := exec.LookPath(g.load); err != nil {
			lack := &missing.Error{What: "measure " + g.name, Need: g.load, Give: "run bench/peers"}
			b.given[g.name] = true
			b.results.Absent = append(b.results.Absent, absence{Candidate: "all candidates", Figure: g.name, Why: lack.Error()})
		}
	}
}
