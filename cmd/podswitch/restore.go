package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/podnet"
)

func restoreCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "restore",
		Short: "Put the pod interface back from the state file of a run that was killed; harmless to repeat",
		Args:  exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			report, err := podnet.Restore(dir)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), report)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "state-dir", defaultStateDir(), "Directory of the state file")
	return c
}
