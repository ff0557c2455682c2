package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Validate a VM document and print every fault with its field path",
		Args:  exactly("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			vm, err := readVM(args[0], c.InOrStdin())
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: valid: %s\n", args[0], vm.Rule)
			return nil
		},
	}
}
