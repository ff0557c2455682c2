package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/replay"
)

// readPlan returns the switch of a plan, which is the output of podswitch plan -o json.
func readPlan(file string) (s replay.Setup, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	var p plan.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return s, fmt.Errorf("%w: want the output of podswitch plan -o json", err)
	}
	switch {
	case p.Identity == nil:
		return s, fmt.Errorf("the plan has no identity: want the output of podswitch plan -o json")
	case p.Delegates():
		c := p.Delegate()
		s.Delegate = &c
	default:
		c := p.Bridge()
		s.Bridge = &c
	}
	return s, nil
}
