package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Validate a VM document and print every fault with its field path",
		Long: "Validate a VM document, YAML or JSON; - is standard input. For a valid document, print the rule that selects the connection\n" +
			"method. Otherwise print every fault with the path of its field, and exit with code 2.",
		Example: "  podswitch check vm.yaml",
		Args:    exactly("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			vm, err := readVM(args[0], c.InOrStdin())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: valid: %s\n", args[0], vm.Rule)
			return err
		},
	}
}
