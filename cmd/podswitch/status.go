package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/vswitch"
)

const statusExample = `  podswitch status
  # For a readiness probe: exits with 0 when the guest has the address
  podswitch status --ready
  podswitch status -o json | jq '.ports[].drops'
  # For a liveness probe of a keeper, with its state directory
  podswitch status --keeper /run/podswitch/keeper.sock`

const statusLong = `Show the holder of the pod address (kernel, switch or guest), the guest's lease, the settings in force, the neighbours, and for
each port its state, the counters, and the dropped frames by reason. A keeper that waits for a switch answers too, with
exit code 1: no switch connects the guest. With --keeper the keeper itself answers, with or without a switch; with --control
too, both have to.

Exit codes: 0 success; 1 the uplink is down, the keeper waits for a switch, or no podswitch answers; with --ready also 1 while
no guest has the address, or, with a plain bridge, while a port is down; 2 invalid command line.`

func statusCommand() *cobra.Command {
	var (
		path   string
		keeper string
		ready  bool
	)
	c := &cobra.Command{
		Use:     "status",
		Short:   "Show the holder of the pod address, the lease, and state, counters and drops of each port",
		Long:    statusLong,
		Example: statusExample,
		Args:    exactly(),
	}
	addControl(c, &path)
	c.Flags().BoolVar(&ready, "ready", false, "Exit with 1 unless the uplink is up and the guest has the pod address")
	c.Flags().StringVar(&keeper, keeperFlag, "", "Ask the keeper at this `PATH`, which is keeper.sock in its state directory, and exit with 0 if it works; not the switch, unless --control is given")
	output := addOutput(c)
	c.MarkFlagsMutuallyExclusive(keeperFlag, "ready")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if keeper != "" {
			if err := showKeeper(c, keeper, output.value); err != nil || !c.Flags().Changed("control") {
				return err
			}
		}
		var s control.Status
		if err := control.Get(c.Context(), path, control.StatusPath, &s); err != nil {
			return err
		}
		if err := showStatus(c, &s, output.value); err != nil {
			return err
		}
		return judge(&s, ready)
	}
	return c
}

func showStatus(c *cobra.Command, s *control.Status, format string) error {
	out := printableWriter{c.OutOrStdout()}
	if format == "json" {
		return printJSON(out, s)
	}
	escapeTexts(s)
	return printStatus(out, s)
}

// judge returns the error of a podswitch that answers and does not connect the guest.
func judge(s *control.Status, ready bool) error {
	switch {
	case s.Waiting: // a probe of the switch must not succeed without one
		return errors.New("the keeper waits for a switch")
	case s.Uplink != "" && s.Uplink != control.LinkUp:
		return fmt.Errorf("the uplink is %s", s.Uplink)
	case !ready || s.Ready:
		return nil
	case s.Settings != nil && s.Settings.Method == control.MethodDelegate:
		return errors.New("not ready: " + describeLack(s))
	}
	return errors.New("not ready: a port is down")
}

func printStatus(out io.Writer, s *control.Status) error {
	if s.Waiting {
		_, err := fmt.Fprintf(out, "keeper   process %d  version %s  waits for a switch\nholder   %s\n", s.KeeperPID, s.Version, s.Holder)
		return err
	}
	fmt.Fprintf(out, "holder   %s\n", describeHolders(s))
	if s.Uplink != "" {
		fmt.Fprintf(out, "uplink   %s\n", s.Uplink)
	}
	if s.Address != "" {
		fmt.Fprintf(out, "address  %s  gateway %s  mtu %d\n", s.Address, orNone(s.Gateway), s.MTU)
	}
	if v6 := s.IPv6; v6 != nil {
		fmt.Fprintf(out, "address  %s  gateway %s  mtu %d  router %s\n", v6.Address, orNone(v6.Gateway), v6.MTU, v6.Router)
	}
	if s.Address != "" || s.IPv6 != nil {
		fmt.Fprintf(out, "macs     %s\n", describeMACs(s))
	}
	if s.Settings != nil && s.Settings.Method == control.MethodDelegate && (s.Address != "" || s.IPv6 == nil) {
		fmt.Fprintf(out, "lease    %s\n", describeLease(s.Lease))
	}
	if s.IPv6 != nil {
		fmt.Fprintf(out, "lease6   %s\n", describeLease(s.IPv6.Lease))
	}
	printSettings(out, s.Settings)
	if s.Neighbours != nil {
		fmt.Fprintf(out, "hops     %s\n", describeNeighbours(s.Neighbours))
	}
	for _, text := range s.Refused {
		fmt.Fprintf(out, "refused  %s\n", text)
	}
	if s.Sandbox != "" {
		fmt.Fprintf(out, "switch   process %d  %s  keeper %s  takeovers %d  version %s\n", s.SwitchPID, s.Sandbox, describeKeeper(s.KeeperPID), s.Takeovers, orNone(s.Version))
	}
	return printPorts(out, s.Ports)
}

// describeKeeper names the keeper as the switch sees it.
func describeKeeper(pid int) string {
	if pid == 0 {
		return "in another container"
	}
	return fmt.Sprintf("process %d", pid)
}

func printPorts(out io.Writer, ports []control.Port) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nPORT\tKIND\tSTATE\tRX FRAMES\tRX BYTES\tTX FRAMES\tTX BYTES\tDROPS")
	for _, p := range ports {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", p.Name, p.Kind, orNone(p.State), p.RxFrames, p.RxBytes, p.TxFrames, p.TxBytes, describeDrops(p))
	}
	return w.Flush()
}

// shownRules bounds the rules in the text; the JSON has all.
const shownRules = 16

func printSettings(out io.Writer, s *control.Settings) {
	if s == nil {
		return
	}
	parts := []string{"method " + s.Method}
	if !s.PinnedMAC.IsZero() {
		parts = append(parts, "guest MAC "+s.PinnedMAC.String())
	}
	if s.Method == control.MethodDelegate {
		address := "moved"
		if s.Mute {
			address = "muted"
		}
		parts = append(parts, "address "+address, "keep "+orNone(strings.Join(s.Keep, ",")), "hold after "+s.HoldAfter.String())
	}
	fmt.Fprintf(out, "settings %s\n", strings.Join(parts, "  "))
	for _, r := range s.Rules[:min(len(s.Rules), shownRules)] {
		fmt.Fprintf(out, "rule     %s\n", plan.DescribeRule(r))
	}
	if more := len(s.Rules) - shownRules; more > 0 {
		fmt.Fprintf(out, "rule     and %d more: see -o json\n", more)
	}
}

// describeMACs returns the wire MAC, and the router MAC, which a plain bridge does not have.
func describeMACs(s *control.Status) string {
	text := "wire none"
	if !s.WireMAC.IsZero() {
		text = "wire " + s.WireMAC.String()
	}
	if !s.RouterMAC.IsZero() {
		text += "  router " + s.RouterMAC.String()
	}
	return text
}

// shownNeighbours bounds the neighbours in the text that have not answered; the JSON has more.
const shownNeighbours = 4

func describeNeighbours(n *control.Neighbours) string {
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(n.Counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", n.Counts[state], state))
	}
	var silent []string
	for _, e := range n.List {
		if e.State == vswitch.NeighbourIncomplete && len(silent) < shownNeighbours {
			silent = append(silent, e.Address.String())
		}
	}
	text := orNone(strings.Join(parts, ", "))
	if len(silent) > 0 {
		text += "  no answer yet from " + strings.Join(silent, ", ")
	}
	return text
}

func describeLease(l *control.Lease) string {
	if l == nil {
		return "none"
	}
	text := fmt.Sprintf("%s  host name %s  until %s", l.MAC, orNone(l.HostName), l.Expires.Local().Format(time.DateTime))
	if l.DUID != "" {
		text += "  DUID-" + l.DUID
	}
	return text
}

// describeHolders returns the holder of the address, or of each of two.
func describeHolders(s *control.Status) string {
	if s.IPv6 == nil || s.Address == "" || s.Holder == s.IPv6.Holder {
		return s.Holder
	}
	return fmt.Sprintf("%s (IPv4), %s (IPv6)", s.Holder, s.IPv6.Holder)
}

// describeLack says who has an address of the pod in place of the guest.
func describeLack(s *control.Status) string {
	switch holders := describeHolders(s); {
	case holders == s.Holder:
		return fmt.Sprintf("the holder of the pod address is the %s, not the guest", s.Holder)
	case s.IPv6.Holder == "guest":
		return fmt.Sprintf("the holder of the pod's IPv4 address is the %s, not the guest", s.Holder)
	case s.Holder == "guest":
		return fmt.Sprintf("the holder of the pod's IPv6 address is the %s, not the guest", s.IPv6.Holder)
	default:
		return fmt.Sprintf("the holders of the pod's addresses are %s, not the guest", holders)
	}
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
