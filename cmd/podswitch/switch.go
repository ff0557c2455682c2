package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/keeper"
	"github.com/podswitch/podswitch/pod/plan"
)

// maxPorts bounds a learning switch: each port has its own goroutine and buffers.
const maxPorts = 256

func switchCommand() *cobra.Command {
	var (
		cfg keeper.SwitchConfig
		all keeper.Config
		log logFlags
	)
	c := &cobra.Command{
		Use:   "switch --port KIND:NAME --port KIND:NAME ...",
		Short: "Run a plain learning switch between devices, for local testing",
		Args:  exactly(),
	}
	flags := c.Flags()
	flags.Var(&parsedList[hypervisor.Attachment]{&cfg.Ports, "KIND:ARG", hypervisor.ParseAttachment}, "port", "A port: tap:NAME, packet:NAME, stream:PATH, dgram:LOCAL[,REMOTE] or fd:N; at least two")
	flags.DurationVar(&cfg.Bridge.Ageing, "ageing", plan.DefaultAgeing, "How long a silent station is remembered")
	flags.IntVar(&cfg.Bridge.Limit, "fdb-limit", plan.DefaultFDBLimit, "Largest number of stations")
	offload := newChoice("on", "off")
	flags.Var(offload, "offload", "Whether the ports take checksum and segmentation offloads")
	merge := addMerge(flags)
	addControl(c, &all.Control)
	log.add(c)
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		cfg.Offload, cfg.NoMerge = offload.value == "on", merge.value == "off"
		if err := checkSwitch(&cfg); err != nil {
			return usageError{err}
		}
		if all.Log, err = log.logger(c.ErrOrStderr()); err != nil {
			return err
		}
		all.Switch, all.Owner, all.ExitCode = &cfg, -1, exitCode
		saveMemory()
		return keeper.Run(c.Context(), all, log.switchCommandLine, "")
	}
	return c
}

func checkSwitch(cfg *keeper.SwitchConfig) error {
	switch {
	case len(cfg.Ports) < 2 || len(cfg.Ports) > maxPorts:
		return fmt.Errorf("--port: want 2 to %d ports, have %d", maxPorts, len(cfg.Ports))
	case cfg.Bridge.Ageing <= 0:
		return fmt.Errorf("--ageing %s: want more than 0", cfg.Bridge.Ageing)
	case cfg.Bridge.Limit < 1 || cfg.Bridge.Limit > 1<<20:
		return fmt.Errorf("--fdb-limit %d: want 1 to %d", cfg.Bridge.Limit, 1<<20)
	}
	seen := map[string]bool{}
	for _, p := range cfg.Ports {
		if seen[p.Name] {
			return fmt.Errorf("--port %s: the device %s is named twice", p, p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}
