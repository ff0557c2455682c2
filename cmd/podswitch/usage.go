package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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

// helpCommand prints the help of a command. Cobra's own one accepts every argument.
func helpCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Print the help of a command",
		Example: "  podswitch help run",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		topic, rest, err := c.Root().Find(args)
		if err != nil || len(rest) > 0 {
			return unknownCommand(c.Root(), args)
		}
		topic.InitDefaultHelpFlag()
		return topic.Help()
	}
	return c
}

// flagError returns the error of a flag that cannot be parsed, with the flag's name and, for a value, what it should be.
func flagError(_ *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	if !errors.As(err, &value) {
		return usageError{err}
	}
	flag, cause := value.GetFlag(), value.Unwrap().Error()
	if want, ok := wantedValues[flag.Value.Type()]; ok { // pflag's own types say how the value was parsed
		cause = "want " + want
	}
	if _, after, ok := strings.Cut(cause, strconv.Quote(value.GetValue())+": "); ok {
		cause = after // the value once
	}
	return usageError{fmt.Errorf("--%s %q: %s", flag.Name, value.GetValue(), cause)}
}

// wantedValues are the values of the types of pflag.
var wantedValues = map[string]string{
	"bool": "true or false", "duration": "a duration, such as 30s or 5m", "int": "a number", "uint16": "a number from 0 to 65535",
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
