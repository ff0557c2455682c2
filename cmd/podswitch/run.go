package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/keeper"
)

// The flags that make run the switch of another keeper.
const (
	keeperFlag   = "keeper"
	takeoverFlag = "takeover"
)

const runLong = `Connect the guest to the network of the pod until a signal (SIGINT, SIGTERM) asks to stop, then restore the pod interface.

This process becomes the keeper, which needs CAP_NET_ADMIN and CAP_NET_RAW. It starts the switch, a process without privileges
that handles all frames. With --keeper or --takeover, this process is the switch of a keeper; it ignores SIGHUP, so that it
outlives the terminal in which it was started. With --keeper alone it waits for the keeper, stands by while the keeper has another
switch, and goes on with the next keeper when this one ends.

With --takeover, any of --vm, --interface, --guest-mac, --hold-after, --keep and --deny replaces all six: repeat those that must stay.`

const runExample = `  # Give the pod address to the guest behind tap0, which QEMU holds
  podswitch run --guest packet:tap0
  # Keep port 8080 of the pod address for the pod, for probes
  podswitch run --guest packet:tap0 --keep tcp/8080
  # Replace the running switch by one of this program
  podswitch run --takeover
  # The same, and change the kept ports; an earlier --deny is repeated, because it would be removed
  podswitch run --takeover --keep tcp/9090 --deny 169.254.169.254
  # Run only the switch, in a container without capabilities
  podswitch run --keeper /run/podswitch/keeper/socket`

func runCommand() *cobra.Command {
	var (
		flags    runFlags
		asSwitch switchFlags
		parent   superviseFlags
	)
	c := &cobra.Command{
		Use:     "run",
		Short:   "Connect the guest to the pod's network until asked to stop, then restore the pod interface",
		Long:    runLong,
		Example: runExample,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			flags.supervised = parent.isChild
			if asSwitch.keeper != "" || asSwitch.takeover {
				asSwitch.supervised = parent.isChild
				return asSwitch.run(c, &flags)
			}
			if c.Flags().Changed(peerUIDFlag) || c.Flags().Changed(peerNamespaceFlag) {
				return usageError{fmt.Errorf("--%s and --%s need --%s", peerUIDFlag, peerNamespaceFlag, keeperFlag)}
			}
			if c.Flags().Changed(waitFlag) {
				return usageError{fmt.Errorf("--%s needs --%s", waitFlag, keeperFlag)}
			}
			if parent.isWanted() {
				return superviseKeeper(c, &flags)
			}
			return runKeeper(c, &flags)
		},
	}
	flags.add(c)
	asSwitch.add(c)
	parent.add(c)
	return c
}

// runKeeper runs the keeper in this process, which starts the switch as a child.
func runKeeper(c *cobra.Command, flags *runFlags) error {
	cfg, err := flags.keeper(c)
	if err != nil {
		return err
	}
	cfg.ParseSettings = readSettings
	return keeper.Run(c.Context(), cfg, flags.log.switchCommandLine, filepath.Join(cfg.Pod.StateDir, keeperSocket))
}

// keeperSocket is the name of the keeper's own socket in the state directory, for takeovers of run and for probes.
const keeperSocket = "keeper.sock"
