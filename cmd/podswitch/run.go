package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/podswitch/podswitch/attach"
)

func runCommand() *cobra.Command {
	var flags attachFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "Attach the guest to the pod until asked to stop, then give the pod its address back",
		Example: `  # Give the pod's address to the guest behind tap0, which QEMU holds
  podswitch run --guest packet:tap0
  # Keep the pod's own port 8080, for probes
  podswitch run --guest packet:tap0 --keep tcp/8080`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := flags.config(c)
			if err != nil {
				return err
			}
			cfg.Resolved = func(p *attach.Plan) {
				if flags.log.format.value == "json" {
					cfg.Log.Info("resolved", zap.Any("plan", p))
					return
				}
				for _, line := range p.Summary() {
					fmt.Fprintln(c.ErrOrStderr(), "podswitch:", line)
				}
			}
			return attach.Run(c.Context(), cfg)
		},
	}
	flags.add(c)
	return c
}
