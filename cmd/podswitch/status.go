package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/control"
)

const statusExample = `  podswitch status
  podswitch status -o json | jq '.ports[].drops'`

func statusCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the holder of the pod address, the lease, and counters and drops of each port",
		Long: "Show the holder of the pod address (kernel, switch or guest), the guest's lease, and for each port the counters and the\n" +
			"dropped frames by reason.",
		Example: statusExample,
		Args:    exactly(),
	}
	addControl(c, &path)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var s control.Status
		if err := control.Get(c.Context(), path, control.StatusPath, &s); err != nil {
			return err
		}
		if output.value == "json" {
			return printJSON(c.OutOrStdout(), s)
		}
		return printStatus(c.OutOrStdout(), s)
	}
	return c
}

func printStatus(out io.Writer, s control.Status) error {
	fmt.Fprintf(out, "holder   %s\n", s.Holder)
	if s.Address != "" {
		fmt.Fprintf(out, "address  %s  gateway %s  mtu %d\n", s.Address, orNone(s.Gateway), s.MTU)
		fmt.Fprintf(out, "macs     wire %s  router %s\n", s.WireMAC, s.RouterMAC)
		fmt.Fprintf(out, "lease    %s\n", describeLease(s.Lease))
	}
	if s.Sandbox != "" {
		fmt.Fprintf(out, "switch   process %d  %s  keeper process %d  takeovers %d\n", s.SwitchPID, s.Sandbox, s.KeeperPID, s.Takeovers)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nPORT\tKIND\tRX FRAMES\tRX BYTES\tTX FRAMES\tTX BYTES\tDROPS")
	for _, p := range s.Ports {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\n", p.Name, p.Kind, p.RxFrames, p.RxBytes, p.TxFrames, p.TxBytes, describeDrops(p))
	}
	return w.Flush()
}

func describeLease(l *control.Lease) string {
	if l == nil {
		return "none"
	}
	return fmt.Sprintf("%s  host name %s  until %s", l.MAC, orNone(l.HostName), l.Expires.Local().Format(time.DateTime))
}

func describeDrops(p control.Port) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(p.Drops)) {
		parts = append(parts, fmt.Sprintf("%s=%d", reason, p.Drops[reason]))
	}
	return orNone(strings.Join(parts, " "))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
