package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// A usageError is an error of the command line. Its exit code is exitUsage.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exactly requires one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError{fmt.Errorf("%s: %s is missing", c.Name(), names[len(args)])}
		case len(args) > len(names):
			return usageError{fmt.Errorf("%s: unexpected argument %q: this command takes %s", c.Name(), args[len(names)], listArguments(names))}
		}
		return nil
	}
}

func listArguments(names []string) string {
	if len(names) == 0 {
		return "no arguments"
	}
	return "only " + strings.Join(names, " ")
}

// lettersPerError is the number of letters of a mistyped command for each edit that leads to the command that is suggested: of three
// letters, one may be wrong.
const lettersPerError = 3

// unknownCommand runs when the first argument is no known command.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{errors.New("the command is missing: see podswitch --help")}
	}
	hint := "see podswitch --help"
	root.SuggestionsMinimumDistance = max(1, len(args[0])/lettersPerError)
	if similar := root.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = fmt.Sprintf("did you mean %q?", similar[0])
	}
	return usageError{fmt.Errorf("unknown command %q: %s", args[0], hint)}
}
