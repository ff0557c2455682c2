package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/podswitch/podswitch/model"
)

const completionExample = `  # For this shell, bash
  source <(podswitch completion bash)`

// addCompletion adds cobra's command that prints the completion script of a shell, to the output that root has now.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	c, _, err := root.Find([]string{"completion"})
	if err != nil || c == root {
		return
	}
	c.Short, c.Example, c.Args = "Print the completion script for bash, zsh, fish or powershell", completionExample, cobra.ArbitraryArgs
	for _, shell := range c.Commands() {
		shell.Args = exactly()
	}
	c.RunE = func(*cobra.Command, []string) error {
		return usageError{errors.New("completion: want the shell: bash, zsh, fish or powershell")}
	}
}

// completeChoices lets shells complete the values of choices and families, and no file names.
func completeChoices(c *cobra.Command) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		var values []string
		switch v := f.Value.(type) {
		case *choice:
			values = v.allowed
		case *parsed[model.Families]:
			values = []string{model.IPv4.String(), model.IPv6.String(), model.AllFamilies.String()}
		default:
			return
		}
		_ = c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	})
}
