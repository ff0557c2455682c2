package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/keeper"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// defaultHoldAfter gives a hypervisor the time to start a guest again.
const defaultHoldAfter = 30 * time.Second

// runFlags are the flags of run and plan.
type runFlags struct {
	vm, iface string
	offload   *choice
	merge     *choice
	address   *choice
	cfg       plan.Config
	control   string
	log       logFlags
}

func (f *runFlags) add(c *cobra.Command) {
	f.offload = newChoice("on", "off")
	f.cfg.Guest = hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}
	flags := c.Flags()
	flags.StringVar(&f.vm, "vm", "", "VM document, YAML or JSON; - is standard input (default: one virtio interface with delegateIp)")
	flags.StringVar(&f.iface, "interface", "", "Interface of the VM document to attach (default: the only one)")
	flags.StringVar(&f.cfg.PodInterface, "pod-interface", "eth0", "The pod's interface")
	flags.Var(&parsed[hypervisor.Attachment]{&f.cfg.Guest, f.cfg.Guest.String(), "KIND:ARG", hypervisor.ParseAttachment}, "guest",
		"The guest's attachment: tap:NAME (podswitch is its user side), packet:NAME (the hypervisor is), stream:PATH, dgram:LOCAL[,REMOTE] or fd:N")
	flags.Var(&guestMAC{settings: &f.cfg.Settings}, "guest-mac", "The only MAC that the guest may have; pod: the pod interface's (default: the document's, or any)")
	flags.Var(f.offload, "offload", "Whether the guest takes checksum and segmentation offloads")
	f.merge = addMerge(flags)
	flags.Var(&parsedList[plan.KeptPort]{&f.cfg.KeptPorts, "tcp/PORT[=HOST:PORT]", plan.ParseKeptPort}, "keep",
		"TCP port of the pod address that stays with the pod; may be repeated (default target: 127.0.0.1:PORT)")
	flags.DurationVar(&f.cfg.HoldAfter, "hold-after", defaultHoldAfter, "How long the guest may be away before the switch answers for the pod address")
	f.address = newChoice("move", "mute")
	flags.Var(f.address, "address", "move: the pod address leaves the interface; mute: it stays, and the pod's kernel is kept silent")
	flags.Var(&parsedList[plan.DenyRule]{&f.cfg.DenyRules, "CIDR[:PORT]", plan.ParseDenyRule}, "deny",
		"What the guest may not reach, beside what OpenShift SDN's table and the routes in the pod say; of TCP ports, connections that the guest begins; may be repeated")
	flags.StringVar(&f.cfg.StateDir, "state-dir", defaultStateDir(), "Directory of the state file")
	flags.StringVar(&f.control, "control", "", "Path of the control socket (default: control.sock in the state directory)")
	f.log.add(c)
}

// guestMAC is the flag --guest-mac: a MAC, or the word for the pod's.
type guestMAC struct {
	settings *plan.Settings
	text     string
}

func (g *guestMAC) String() string { return g.text }
func (g *guestMAC) Type() string   { return "MAC|pod" }

func (g *guestMAC) Set(s string) error {
	g.text = s
	return setGuestMAC(g.settings, s)
}

// setGuestMAC sets the fields of the settings that the value of --guest-mac is about.
func setGuestMAC(settings *plan.Settings, value string) (err error) {
	settings.GuestMAC, settings.PodMAC = vswitch.MAC{}, value == "pod"
	if !settings.PodMAC {
		settings.GuestMAC, err = parseGuestMAC(value)
	}
	return err
}

// parseGuestMAC wants a station's address.
func parseGuestMAC(s string) (vswitch.MAC, error) {
	mac, err := vswitch.ParseMAC(s)
	if err != nil {
		return mac, fmt.Errorf("%q: want six bytes like 52:54:00:12:34:56", s)
	}
	if mac.IsMulticast() || mac.IsZero() {
		return mac, fmt.Errorf("%q: want a unicast address", s)
	}
	return mac, nil
}

// check finds what no document can make right.
func (f *runFlags) check() error {
	if err := tap.CheckName(f.cfg.PodInterface); err != nil {
		return fmt.Errorf("--pod-interface: %w", err)
	}
	if f.cfg.StateDir == "" {
		return fmt.Errorf("--state-dir: want a directory")
	}
	return checkSettings(&f.cfg.Settings)
}

// checkSettings finds faults that one value alone does not show.
func checkSettings(s *plan.Settings) error {
	if s.HoldAfter < 0 {
		return fmt.Errorf("--hold-after %s: want 0s or more", s.HoldAfter)
	}
	kept := map[uint16]bool{}
	for _, k := range s.KeptPorts {
		if kept[k.Port] {
			return fmt.Errorf("--keep tcp/%d: the port is kept twice", k.Port)
		}
		kept[k.Port] = true
	}
	return nil
}

// config reads the document and completes the configuration.
func (f *runFlags) config(c *cobra.Command) (plan.Config, error) {
	if err := f.check(); err != nil {
		return f.cfg, usageError{err}
	}
	vm, err := readVM(f.vm, c.InOrStdin())
	if err != nil {
		return f.cfg, err
	}
	if err := checkInterface(f.iface, vm); err != nil {
		return f.cfg, err
	}
	f.cfg.VM = vm
	f.cfg.Offload, f.cfg.NoMerge = f.offload.value == "on", f.merge.value == "off"
	f.cfg.Mute = f.address.value == "mute"
	if f.control == "" {
		f.control = filepath.Join(f.cfg.StateDir, "control.sock")
	}
	return f.cfg, nil
}

// keeper is the configuration of a keeper for a guest and a pod.
func (f *runFlags) keeper(c *cobra.Command) (keeper.Config, error) {
	attach, err := f.config(c)
	if err != nil {
		return keeper.Config{}, err
	}
	cfg := keeper.Config{Attach: &attach, Control: f.control, Owner: -1, ExitCode: exitCode, Watchdog: watchdogCommand(attach.StateDir)}
	if cfg.Log, err = f.log.logger(c.ErrOrStderr()); err != nil {
		return cfg, err
	}
	settle := saveMemory()
	cfg.Resolved = func(p *plan.Plan) {
		settle.Reset(settleTime) // a switch may come late
		if f.log.format.value == "json" {
			cfg.Log.Info("resolved", zap.Any("plan", p))
			return
		}
		for _, line := range p.Summary() {
			fmt.Fprintln(c.ErrOrStderr(), "podswitch:", line)
		}
	}
	return cfg, nil
}
