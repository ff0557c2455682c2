package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/keeper"
)

func keeperCommand() *cobra.Command {
	var (
		flags  runFlags
		peers  peerFlags
		parent superviseFlags
		listen string
	)
	c := &cobra.Command{
		Use:   "keeper --listen PATH",
		Short: "Run the privileged half of run: take the pod address for a switch that connects, and give it back",
		Long: "Run the privileged half of podswitch run: take the pod address for a switch that connects, and give it back when the switch\n" +
			"ends. The switch is podswitch run --keeper PATH, in another container without privileges. podswitch status --keeper PATH,\n" +
			"with the path of keeper.sock in the state directory, shows whether the keeper works.",
		Example: `  # In a privileged container; the other container has user 107 and runs: podswitch run --keeper /run/podswitch/keeper/socket
  podswitch keeper --listen /run/podswitch/keeper/socket --guest packet:tap0 --peer-uid 107 --peer-pid-namespace any`,
		Args: exactly(),
	}
	flags.add(c)
	peers.add(c)
	parent.add(c)
	c.Flags().StringVar(&listen, "listen", "", "`PATH` of the socket for switches; podswitch creates its directory, which must have no other use (required)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if listen == "" {
			return usageError{errors.New("--listen is missing: want the path of a socket")}
		}
		if parent.isWanted() {
			return superviseKeeper(c, &flags)
		}
		flags.supervised = parent.isChild
		return listenAsKeeper(c, &flags, &peers, listen)
	}
	return c
}

// listenAsKeeper runs the keeper in this process, for switches that connect at path.
func listenAsKeeper(c *cobra.Command, flags *runFlags, peers *peerFlags, path string) error {
	cfg, err := flags.keeper(c)
	if err != nil {
		return err
	}
	if cfg.Peers, err = peers.peers(); err != nil {
		return err
	}
	if err := setOwner(&cfg, cfg.Peers); err != nil {
		return usageError{err}
	}
	return keeper.Listen(c.Context(), cfg, path, filepath.Join(cfg.Pod.StateDir, keeperSocket))
}

// setOwner makes the only peer other than root the owner of the keeper's sockets. Root can use any socket.
func setOwner(cfg *keeper.Config, peers grant.Peers) error {
	others := slices.DeleteFunc(slices.Clone(peers.UIDs), func(uid int) bool { return uid == 0 })
	if len(others) > 1 {
		return fmt.Errorf("--%s %v: want at most one user other than root (the socket has one owner)", peerUIDFlag, others)
	}
	if len(others) == 1 {
		cfg.Owner = others[0]
	}
	return nil
}
