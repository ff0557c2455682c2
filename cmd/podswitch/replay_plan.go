package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/replay"
)

// readPlan makes the switch of which a plan says what it is.
func readPlan(file string) (s replay.Setup, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	var p plan.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return s, fmt.Errorf("%w: want what podswitch plan -o json prints", err)
	}
	switch {
	case p.Identity == nil:
		return s, fmt.Errorf("it has no identity: want what podswitch plan -o json prints")
	case p.Delegates():
		c := p.Delegate()
		s.Delegate = &c
	default:
		c := p.Bridge()
		s.Bridge = &c
	}
	return s, nil
}
