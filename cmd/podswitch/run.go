package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/keeper"
)

// The flags of run that make it a switch asSwitch.
const (
	keeperFlag   = "keeper"
	takeoverFlag = "takeover"
)

func runCommand() *cobra.Command {
	var (
		flags    runFlags
		asSwitch switchFlags
	)
	c := &cobra.Command{
		Use:   "run",
		Short: "Attach the guest to the pod until asked to stop, then give the pod its address back",
		Example: `  # Give the pod's address to the guest behind tap0, which QEMU holds
  podswitch run --guest packet:tap0
  # Keep the pod's own port 8080, for probes
  podswitch run --guest packet:tap0 --keep tcp/8080
  # Go on in place of the podswitch that runs, with this version of the program, and keep another port
  podswitch run --takeover --keep tcp/9090
  # Be the unprivileged half, in a container without any capability
  podswitch run --keeper /run/podswitch/keeper/socket`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if asSwitch.at != "" || asSwitch.takeover {
				return asSwitch.run(c, &flags)
			}
			if c.Flags().Changed(peerUIDFlag) || c.Flags().Changed(peerNamespaceFlag) {
				return usageError{fmt.Errorf("--%s and --%s are about a keeper in another container: they need --%s", peerUIDFlag, peerNamespaceFlag, keeperFlag)}
			}
			return runKeeper(c, &flags)
		},
	}
	flags.add(c)
	asSwitch.add(c)
	return c
}

// runKeeper runs the keeper in this process, and the switch in another one.
func runKeeper(c *cobra.Command, flags *runFlags) error {
	cfg, err := flags.keeper(c)
	if err != nil {
		return err
	}
	cfg.Settings = readSettings
	return keeper.Run(c.Context(), cfg, flags.log.switchCommandLine, filepath.Join(cfg.Attach.StateDir, keeperSocket))
}

// keeperSocket is the name of the socket for takeovers, in the state directory.
const keeperSocket = "keeper.sock"
