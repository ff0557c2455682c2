package main

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"
)

// addOutput adds --output, for commands that print data.
func addOutput(c *cobra.Command) *choice {
	output := newChoice("text", "json")
	c.Flags().VarP(output, "output", "o", "Output format")
	return output
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
