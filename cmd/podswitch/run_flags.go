package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/keeper"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// defaultHoldAfter is long enough for a hypervisor to restart a guest.
const defaultHoldAfter = 30 * time.Second

// defaultHoldSwitch is long enough for a kubelet to start a container again.
const defaultHoldSwitch = 30 * time.Second

// runFlags are the flags of run, keeper and plan.
type runFlags struct {
	vm, iface string
	offload   *choice
	merge     *choice
	address   *choice
	cfg       plan.Config
	control   string
	from      string // flags that control comes from, if it is the default
	log       logFlags

	refuse, host bool
	supervised   bool // another process starts this one again when it is killed

	holdSwitch, holdKeeper, holdStop time.Duration
}

func (f *runFlags) add(c *cobra.Command) {
	f.offload = newChoice("on", "off")
	f.cfg.Guest = hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}
	flags := c.Flags()
	flags.StringVar(&f.vm, "vm", "", "`FILE` with the VM document, YAML or JSON; - is standard input (default: one virtio interface with delegateIp)")
	flags.StringVar(&f.iface, "interface", "", "`NAME` of the interface in the VM document (default: its only interface)")
	flags.StringVar(&f.cfg.PodInterface, "pod-interface", "eth0", "`NAME` of the pod's network interface")
	flags.Var(&parsed[hypervisor.Attachment]{&f.cfg.Guest, f.cfg.Guest.String(), "KIND:ARG", hypervisor.ParseAttachment}, "guest",
		"Attachment of the guest: tap:NAME (podswitch opens the tap), packet:NAME (the hypervisor opens the tap), stream:PATH, dgram:LOCAL[,REMOTE] or fd:N")
	flags.Var(&guestMAC{settings: &f.cfg.Settings}, "guest-mac", "Only MAC that the guest may use; pod: the MAC of the pod interface (default: macAddress of the VM document, or any)")
	flags.Var(&parsed[vswitch.MAC]{&f.cfg.RouterMAC, "", "MAC", parseGuestMAC}, "router-mac",
		"Router MAC, the only MAC besides its own that the guest sees; a guest that migrates needs the same one in each pod (default: bridge.routerMac of the VM document, or one that the MAC of the pod interface gives)")
	flags.Var(f.offload, "offload", "Checksum and segmentation offloads at the device of the guest")
	f.merge = addMerge(flags)
	flags.Var(&parsedList[plan.KeptPort]{&f.cfg.KeptPorts, plan.KeptPortForm, plan.ParseKeptPort}, "keep",
		"TCP or UDP port of the pod address that stays with the pod; connections and datagrams of both families go to HOST:PORT (default 127.0.0.1:PORT; IPv6 in brackets, as in [::1]:80), which sees 127.0.0.1 or ::1 as every client, or the address of from; with from=client processes that listen at 0.0.0.0:PORT see the client itself, in IPv4 alone; with proxy they begin with a PROXY protocol header (version 2) that tells the client; repeatable")
	flags.BoolVar(&f.refuse, "refuse", true, "While no guest has the pod address, refuse TCP and UDP to it, as a kernel does; false: stay silent")
	flags.DurationVar(&f.cfg.HoldAfter, "hold-after", defaultHoldAfter, "`DURATION` from the loss of the guest until the switch answers for the pod address; 0s: at once")
	flags.DurationVar(&f.holdSwitch, "hold-switch", defaultHoldSwitch, "`DURATION` from the unasked end of the switch until the pod address is given back, unless another switch has started; 0s: at once")
	flags.DurationVar(&f.holdKeeper, "hold-keeper", 0, "`DURATION` from the unasked end of the keeper until its watchdog gives the pod address back, unless another keeper continues; 0s: at once (default with --supervise: as --hold-switch)")
	flags.DurationVar(&f.holdStop, "hold-stop", 0, "`DURATION` from a stop while a hypervisor is attached until the pod address is given back, unless another switch or keeper continues, as when a container is replaced; 0s: at once")
	f.address = newChoice("move", "mute")
	flags.Var(f.address, "address", "move: remove the pod address from the interface; mute: keep it there, and make the kernel ignore traffic for it")
	f.cfg.Families = model.AllFamilies
	flags.Var(&parsed[model.Families]{&f.cfg.Families, model.AllFamilies.String(), "ipv4|ipv6|ipv4,ipv6", model.ParseFamilies}, "families",
		"IP versions whose pod address moves to the guest, if the pod has one; the pod's kernel keeps the others")
	flags.Var(&parsedList[plan.DenyRule]{&f.cfg.DenyRules, "CIDR[:PORT]", plan.ParseDenyRule}, "deny",
		"Destination that the guest may not reach, such as 10.0.0.0/8, fd00::/8 or [fd00::1]:443, in addition to those of OpenShift SDN's firewall and of unreachable routes; a PORT applies to UDP and to TCP connections from the guest; repeatable")
	flags.BoolVar(&f.host, "host", false, "Allow the machine's own network namespace: its address, and with it every connection to the machine, goes to the guest")
	flags.StringVar(&f.cfg.StateDir, "state-dir", defaultStateDir(), "`DIRECTORY` of the state file, its lock and the sockets of podswitch")
	flags.StringVar(&f.control, "control", "", "`PATH` of the control socket (default: control.sock in the state directory)")
	f.log.add(c)
}

// guestMAC is the flag --guest-mac: a MAC, or the word pod.
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
	settings.PinnedMAC, settings.PodMAC = vswitch.MAC{}, value == "pod"
	if !settings.PodMAC {
		settings.PinnedMAC, err = parseGuestMAC(value)
	}
	return err
}

// parseGuestMAC reads a unicast MAC.
func parseGuestMAC(s string) (vswitch.MAC, error) {
	mac, err := vswitch.ParseMAC(s)
	if err != nil {
		return mac, fmt.Errorf("%q: want six bytes, such as 52:54:00:12:34:56", s)
	}
	if mac.IsMulticast() || mac.IsZero() {
		return mac, fmt.Errorf("%q: want a unicast address", s)
	}
	return mac, nil
}

// check checks the flags that do not depend on the VM document.
func (f *runFlags) check() error {
	if err := tap.CheckName(f.cfg.PodInterface); err != nil {
		return fmt.Errorf("--pod-interface: %w", err)
	}
	switch {
	case f.cfg.StateDir == "":
		return errors.New("--state-dir is empty: want a directory")
	case f.holdSwitch < 0:
		return fmt.Errorf("--hold-switch %s: want 0s or more", f.holdSwitch)
	case f.holdKeeper < 0:
		return fmt.Errorf("--hold-keeper %s: want 0s or more", f.holdKeeper)
	case f.holdStop < 0:
		return fmt.Errorf("--hold-stop %s: want 0s or more", f.holdStop)
	}
	return checkSettings(&f.cfg.Settings)
}

// checkSettings checks what the parsers of the single flags cannot check.
func checkSettings(s *plan.Settings) error {
	if s.HoldAfter < 0 {
		return fmt.Errorf("--hold-after %s: want 0s or more", s.HoldAfter)
	}
	kept := map[string]bool{}
	for _, k := range s.KeptPorts {
		if kept[k.Name()] {
			return fmt.Errorf("--keep %s: the port is given twice", k.Name())
		}
		kept[k.Name()] = true
	}
	return nil
}

// config reads the VM document and returns the complete configuration.
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
	if f.supervised && !c.Flags().Changed("hold-keeper") {
		f.holdKeeper = f.holdSwitch // the next keeper is there in milliseconds
	}
	f.cfg.HoldKeeper = f.holdKeeper
	f.cfg.Mute, f.cfg.Silent = f.address.value == "mute", !f.refuse
	if f.control == "" {
		f.control, f.from = filepath.Join(f.cfg.StateDir, "control.sock"), "--control or --state-dir"
	}
	return f.cfg, nil
}

// keeper returns the configuration of a keeper for a guest and a pod.
func (f *runFlags) keeper(c *cobra.Command) (keeper.Config, error) {
	if f.supervised {
		crashBySignal()
	}
	pod, err := f.config(c)
	if err != nil {
		return keeper.Config{}, err
	}
	cfg := keeper.Config{Pod: &pod, Version: version, Control: f.control, From: f.from, Host: f.host, Owner: -1, ExitCode: exitCode, HoldSwitch: f.holdSwitch,
		HoldStop: f.holdStop, Watchdog: f.watchdogCommand(pod.StateDir)}
	if cfg.Log, err = f.log.logger(c.ErrOrStderr()); err != nil {
		return cfg, err
	}
	settle := saveMemory()
	cfg.Resolved = func(p *plan.Plan) {
		settle.Reset(settleTime) // a switch may connect late, and the start ends here
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
