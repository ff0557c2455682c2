package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/keeper"
)

func keeperCommand() *cobra.Command {
	var (
		flags  runFlags
		peers  peerFlags
		listen string
	)
	c := &cobra.Command{
		Use:   "keeper --listen SOCKET",
		Short: "Be the privileged half of run: take the pod's address for a switch that connects, and give it back",
		Example: `  # In a privileged container; the switch runs as user 107 in another one: podswitch run --keeper /run/podswitch/keeper/socket
  podswitch keeper --listen /run/podswitch/keeper/socket --guest packet:tap0 --peer-uid 107 --peer-pid-namespace any`,
		Args: exactly(),
	}
	flags.add(c)
	peers.add(c)
	c.Flags().StringVar(&listen, "listen", "", "Path of the socket that the switch connects to; its folder is made, and is for nothing else")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if listen == "" {
			return usageError{errors.New("--listen: want the path of a socket")}
		}
		cfg, err := flags.keeper(c)
		if err != nil {
			return err
		}
		if cfg.Peers, err = peers.peers(); err != nil {
			return err
		}
		others := slices.DeleteFunc(slices.Clone(cfg.Peers.UIDs), func(uid int) bool { return uid == 0 }) // root reaches every socket
		switch len(others) {
		case 0:
		case 1:
			cfg.Owner = others[0]
		default:
			return usageError{fmt.Errorf("--%s %v: want one user beside root, who gets the socket", peerUIDFlag, others)}
		}
		return keeper.Listen(c.Context(), cfg, listen)
	}
	return c
}
