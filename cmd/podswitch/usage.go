package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// A usageError is about the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

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

// unknownCommand is what the command without a known verb does.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{fmt.Errorf("a command is missing: see podswitch --help")}
	}
	root.SuggestionsMinimumDistance = 2
	hint := "see podswitch --help"
	if like := root.SuggestionsFor(args[0]); len(like) > 0 {
		hint = fmt.Sprintf("did you mean %q?", like[0])
	}
	return usageError{fmt.Errorf("unknown command %q: %s", args[0], hint)}
}
