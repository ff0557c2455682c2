package main

import (
	"encoding/json"
	"fmt"
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

// A firstError passes on what is written, and keeps the first error. Commands print without looking at each error: a full disk behind
// stdout must not look like success.
type firstError struct {
	w   io.Writer
	err error
}

// Write implements io.Writer. After an error it writes nothing.
func (f *firstError) Write(b []byte) (n int, err error) {
	if f.err == nil {
		n, f.err = f.w.Write(b)
	}
	return n, f.err
}

// failure returns the error of a command whose output was not written.
func (f *firstError) failure(err error) error {
	if err == nil && f.err != nil {
		return fmt.Errorf("write the output: %w", f.err)
	}
	return err
}
