package main

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/keeper"
	"github.com/podswitch/podswitch/pod/plan"
)

// Limits of a learning switch. Each port has its own receive loop and buffers.
const (
	maxPorts    = 256
	maxStations = 1 << 20
)

// restrictedGroups are the reserved destinations that belong to one link: no bridge may forward them (Linux, net/bridge/br_private.h,
// BR_GROUPFWD_RESTRICTED).
const restrictedGroups = 0x7

func switchCommand() *cobra.Command {
	var (
		cfg keeper.SwitchConfig
		all keeper.Config
		log logFlags
	)
	c := &cobra.Command{
		Use:     "switch --port KIND:ARG --port KIND:ARG ...",
		Short:   "Run a plain learning switch between devices, for local tests",
		Long:    "Run a plain learning switch between devices and unix sockets, for local tests, until a signal asks to stop.",
		Example: "  podswitch switch --port tap:tap0 --port packet:veth0 --port stream:/run/vm.sock",
		Args:    exactly(),
	}
	flags := c.Flags()
	flags.Var(&parsedList[hypervisor.Attachment]{&cfg.Ports, "KIND:ARG", hypervisor.ParseAttachment}, "port",
		"Port of the switch: tap:NAME, packet:NAME, stream:PATH, dgram:LOCAL[,REMOTE] or fd:N; repeatable, at least two")
	flags.DurationVar(&cfg.Bridge.Ageing, "ageing", plan.DefaultAgeing, "`DURATION` from the last frame of a station (MAC) until the switch forgets it")
	flags.IntVar(&cfg.Bridge.Limit, "fdb-limit", plan.DefaultFDBLimit, "Maximum `NUMBER` of stations in the forwarding database")
	flags.Uint16Var(&cfg.Bridge.GroupForward, "group-fwd-mask", 0,
		"Reserved destinations that pass, as a `MASK`: bit N is 01:80:c2:00:00:0N, as for a bridge of the kernel; 0x4000 is LLDP")
	var guard bool
	flags.BoolVar(&guard, "loop-guard", false, "Send probes once a second, and block a port at which one of another port returns")
	offload := newChoice("on", "off")
	flags.Var(offload, "offload", "Checksum and segmentation offloads at the ports")
	merge := addMerge(flags)
	addControl(c, &all.Control)
	log.add(c)
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if guard {
			cfg.Bridge.ProbeID = newProbeID()
		}
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

// newProbeID returns a random id of the loop guard. It is not 0.
func newProbeID() uint64 {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return binary.BigEndian.Uint64(id[:]) | 1
}

func checkSwitch(cfg *keeper.SwitchConfig) error {
	switch {
	case len(cfg.Ports) < 2 || len(cfg.Ports) > maxPorts:
		return fmt.Errorf("--port is given %d times: want 2 to %d ports", len(cfg.Ports), maxPorts)
	case cfg.Bridge.Ageing <= 0:
		return fmt.Errorf("--ageing %s: want more than 0", cfg.Bridge.Ageing)
	case cfg.Bridge.Limit < 1 || cfg.Bridge.Limit > maxStations:
		return fmt.Errorf("--fdb-limit %d: want 1 to %d", cfg.Bridge.Limit, maxStations)
	case cfg.Bridge.GroupForward&restrictedGroups != 0:
		return fmt.Errorf("--group-fwd-mask %#x: want none of the bits %#x (spanning tree, pause, LACP)", cfg.Bridge.GroupForward, restrictedGroups)
	}
	seen := map[string]bool{}
	for _, p := range cfg.Ports {
		if seen[p.Name] {
			return fmt.Errorf("--port %s: %s is given twice", p, p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}
