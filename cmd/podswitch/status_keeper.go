package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/grant"
)

// showKeeper asks the keeper at path whether it works, and shows its answer.
func showKeeper(c *cobra.Command, path, format string) error {
	answer, err := grant.AskKeeper(path)
	if err != nil {
		return err
	}
	out := printableWriter{c.OutOrStdout()}
	if format == "json" {
		return printJSON(out, answer)
	}
	text := "no switch"
	if answer.Switch != "" {
		text = "switch " + answer.Switch
	}
	_, err = fmt.Fprintf(out, "keeper   process %d  version %s  %s  %s\n", answer.Keeper, orNone(answer.Version), answer.State, text)
	return err
}
