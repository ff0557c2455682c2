package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/control"
)

func fdbCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "fdb",
		Short: "Show the forwarding database of a learning switch",
		Args:  exactly(),
	}
	addControl(c, &path)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var stations []control.Station
		if err := control.Get(c.Context(), path, control.StationsPath, &stations); err != nil {
			return err
		}
		if output.value == "json" {
			return printJSON(c.OutOrStdout(), stations)
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "MAC\tPORT\tAGE")
		for _, s := range stations {
			age := fmt.Sprintf("%.0fs", s.Age)
			if s.Static {
				age = "static"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", s.MAC, s.Port, age)
		}
		return w.Flush()
	}
	return c
}
