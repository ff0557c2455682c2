package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/keeper"
	"github.com/podswitch/podswitch/pod/plan"
)

const planExample = `  podswitch plan --guest packet:tap0 --vm vm.yaml
  # For podswitch replay
  podswitch plan -o json > plan.json`

func planCommand() *cobra.Command {
	var flags runFlags
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what run would do, without changing anything",
		Long: "Show what run would do with the same flags: the pod's network as found, the settings that the guest would get, warnings,\n" +
			"and every change to the pod, in order. plan itself changes nothing. It also warns of what it can tell beforehand: missing\n" +
			"capabilities, a descriptor that is not open, a directory that does not exist, and another podswitch that is running.",
		Example: planExample,
		Args:    exactly(),
	}
	output := addOutput(c)
	flags.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := flags.config(c)
		if err != nil {
			return err
		}
		p, err := plan.Preview(cfg)
		if err != nil {
			return err
		}
		for _, err := range keeper.Check(cfg.Guest) {
			p.Warnings = append(p.Warnings, fmt.Sprintf("run would end with exit code %d: %v", exitCode(err), err))
		}
		if output.value == "json" {
			return printJSON(c.OutOrStdout(), p)
		}
		printPlan(printableWriter{c.OutOrStdout()}, p)
		return nil
	}
	return c
}

func printPlan(w io.Writer, p *plan.Plan) {
	for _, line := range p.Summary() {
		fmt.Fprintln(w, line)
	}
	for _, warning := range p.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
	fmt.Fprintln(w, "run would:")
	for i, change := range p.Changes {
		fmt.Fprintf(w, "%3d. %s\n", i+1, change)
	}
}
