package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/plan"
)

func planCommand() *cobra.Command {
	var flags runFlags
	c := &cobra.Command{
		Use:   "plan",
		Short: "Print what run would find, do and tell the guest; change nothing",
		Args:  exactly(),
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
		if output.value == "json" {
			return printJSON(c.OutOrStdout(), p)
		}
		w := c.OutOrStdout()
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
		return nil
	}
	return c
}
