package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/control"
)

func fdbCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "fdb",
		Short: "Show the forwarding database of a learning switch",
		Long: "Show the forwarding database of a running learning switch: podswitch switch, or podswitch run with a plain bridge.\n" +
			"AGE is the time since the last frame from the MAC.",
		Example: "  podswitch fdb",
		Args:    exactly(),
	}
	addControl(c, &path)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var stations []control.Station
		if err := control.Get(c.Context(), path, control.StationsPath, &stations); err != nil {
			return err
		}
		if output.value == "json" {
			return printJSON(printableWriter{c.OutOrStdout()}, stations)
		}
		escapeTexts(&stations)
		return printStations(printableWriter{c.OutOrStdout()}, stations)
	}
	return c
}

func printStations(out io.Writer, stations []control.Station) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
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
