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
			"capabilities, the machine's own network namespace, a descriptor that is not open, a directory that does not exist, and\n" +
			"another podswitch that is running.",
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
		p.Warnings = append(p.Warnings, flags.obstacles()...)
		if output.value == "json" {
			return printJSON(c.OutOrStdout(), p)
		}
		printPlan(printableWriter{c.OutOrStdout()}, p)
		return nil
	}
	return c
}

// obstacles returns warnings of the errors with which run would end, as far as they can be found beforehand.
func (f *runFlags) obstacles() (list []string) {
	for _, err := range append([]error{keeper.CheckNamespace(f.host)}, keeper.Check(f.cfg.Guest)...) {
		if err != nil {
			list = append(list, fmt.Sprintf("run would end with exit code %d: %v", exitCode(err), err))
		}
	}
	return list
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
