package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/tap"
)

// hypervisorFlags are the flags of qemu-args and libvirt-xml, and what they resolve to.
type hypervisorFlags struct {
	vm, iface, podInterface string
	guest                   hypervisor.Attachment
	mac                     plan.Settings // only the MAC fields are set, by --guest-mac
	settings                hypervisor.Settings
	discover                func(link string) (*podnet.Identity, error)
}

func (f *hypervisorFlags) add(c *cobra.Command) {
	f.discover = func(link string) (*podnet.Identity, error) { return podnet.Discover(link, podnet.IPv4) }
	flags := c.Flags()
	flags.StringVar(&f.vm, "vm", "", "`FILE` with the VM document, YAML or JSON; - is standard input (default: one virtio interface with delegateIp)")
	flags.StringVar(&f.iface, "interface", "", "`NAME` of the interface in the VM document (default: its only interface)")
	flags.Var(&parsed[hypervisor.Attachment]{&f.guest, "", "KIND:ARG", hypervisor.ParseAttachment}, "guest",
		"Attachment of the guest, as for podswitch run: packet:NAME, stream:PATH or dgram:LOCAL,REMOTE (required)")
	flags.StringVar(&f.podInterface, "pod-interface", "eth0", "`NAME` of the pod's network interface; its MTU and MAC are read if it exists")
	flags.Var(&guestMAC{settings: &f.mac}, "guest-mac",
		"MAC of the guest; pod: the MAC of the pod interface (default: macAddress of the VM document, or a MAC derived from the interface's name and the MAC of the pod interface)")
	flags.IntVar(&f.settings.MTU, "mtu", 0, "MTU that the model announces to the guest, in `BYTES`, if it can; 0: none (default: the MTU of the pod interface)")
	flags.IntVar(&f.settings.Queues, "queues", 1, "`NUMBER` of queue pairs; more than one requires virtio on a tap")
}

// resolve reads the VM document and completes f.settings, from the pod interface where necessary.
func (f *hypervisorFlags) resolve(c *cobra.Command) (*model.VM, error) {
	if f.guest.Kind == "" {
		return nil, usageError{errors.New("--guest is missing: want the value of podswitch run, such as packet:tap0")}
	}
	if f.settings.Queues < 1 {
		return nil, usageError{fmt.Errorf("--queues %d: want 1 to %d", f.settings.Queues, hypervisor.MaxQueues)}
	}
	if err := tap.CheckName(f.podInterface); err != nil {
		return nil, usageError{fmt.Errorf("--pod-interface: %w", err)}
	}
	vm, err := readVM(f.vm, c.InOrStdin())
	if err != nil {
		return nil, err
	}
	if err := checkInterface(f.iface, vm); err != nil {
		return nil, err
	}
	if !f.mac.PinnedMAC.IsZero() {
		f.settings.MAC = f.mac.PinnedMAC[:]
	}
	wantMTU := vm.Interface.Model.MTUProperty() && !c.Flags().Changed("mtu")
	wantMAC := f.mac.PodMAC || f.settings.MAC == nil && vm.Interface.MAC == nil
	if wantMTU || wantMAC {
		err = f.readPod(c, wantMTU)
	}
	return vm, err
}

// readPod reads MTU and MAC of the pod interface. A missing interface is an error only if a flag refers to it. The result does not
// depend on whether podswitch has taken the address of the interface.
func (f *hypervisorFlags) readPod(c *cobra.Command, wantMTU bool) error {
	id, err := f.discover(f.podInterface)
	if id == nil {
		if f.mac.PodMAC || c.Flags().Changed("pod-interface") {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "podswitch: note: MTU and MAC of the pod interface are unknown: %v\n", err)
		return nil
	}
	if wantMTU {
		f.settings.MTU = min(id.Link.MTU, f.guest.MaxMTU())
	}
	switch known := id.Link.MAC != (podnet.MAC{}); {
	case known:
		f.settings.PodMAC = net.HardwareAddr(id.Link.MAC[:])
	case f.mac.PodMAC:
		return usageError{fmt.Errorf("--guest-mac pod: the pod interface %s has no MAC (give a MAC)", f.podInterface)}
	}
	if f.mac.PodMAC {
		f.settings.MAC = f.settings.PodMAC
	}
	return nil
}
