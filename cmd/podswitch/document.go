package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/model"
)

// readVM reads a VM document; without a file it is the default one.
func readVM(file string, stdin io.Reader) (*model.VM, error) {
	if file == "" {
		return model.Default(), nil
	}
	data, err := readFile(file, stdin)
	if err != nil {
		return nil, usageError{fmt.Errorf("VM document: %w", err)}
	}
	vm, err := model.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("VM document %s:\n%w", file, err)
	}
	return vm, nil
}

func readFile(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

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

// exactly wants one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError{fmt.Errorf("%s: %s is missing", c.CommandPath(), names[len(args)])}
		case len(args) > len(names):
			return usageError{fmt.Errorf("%s: what is %q? There is nothing to say after %d argument(s) and the flags", c.CommandPath(), args[len(names)], len(names))}
		}
		return nil
	}
}
