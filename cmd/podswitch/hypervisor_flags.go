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

// hypervisorFlags are the flags of qemu-args and libvirt-xml.
type hypervisorFlags struct {
	vm, iface, podInterface string
	guest                   hypervisor.Attachment
	mac                     plan.Settings // of them, what --guest-mac sets
	settings                hypervisor.Settings
	discover                func(link string) (*podnet.Identity, error)
}

func (f *hypervisorFlags) add(c *cobra.Command) {
	f.discover = podnet.Discover
	flags := c.Flags()
	flags.StringVar(&f.vm, "vm", "", "VM document, YAML or JSON; - is standard input (default: one virtio interface with delegateIp)")
	flags.StringVar(&f.iface, "interface", "", "Interface of the VM document (default: the only one)")
	flags.Var(&parsed[hypervisor.Attachment]{&f.guest, "", "KIND:ARG", hypervisor.ParseAttachment}, "guest",
		"The guest's attachment, as podswitch run has it: packet:NAME, stream:PATH or dgram:LOCAL,REMOTE")
	flags.StringVar(&f.podInterface, "pod-interface", "eth0", "The pod's interface, where MTU and MAC are read if it is there")
	flags.Var(&guestMAC{settings: &f.mac}, "guest-mac",
		"The guest's MAC; pod: the pod interface's (default: the document's, or one derived from the names and the pod interface's MAC)")
	flags.IntVar(&f.settings.MTU, "mtu", 0, "MTU of the guest, where the model can show it; 0: none (default: the pod interface's)")
	flags.IntVar(&f.settings.Queues, "queues", 1, "Pairs of queues; more than one for virtio on a tap")
}

// resolve reads the document and the pod, and completes the settings.
func (f *hypervisorFlags) resolve(c *cobra.Command) (*model.VM, error) {
	if f.guest.Kind == "" {
		return nil, usageError{errors.New("--guest is missing: give it as podswitch run has it, for example packet:tap0")}
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
	if !f.mac.GuestMAC.IsZero() {
		f.settings.MAC = f.mac.GuestMAC[:]
	}
	wantMTU := vm.Interface.Model.MTUProperty() && !c.Flags().Changed("mtu")
	wantMAC := f.mac.PodMAC || f.settings.MAC == nil && vm.Interface.MAC == nil
	if wantMTU || wantMAC {
		err = f.readPod(c, wantMTU)
	}
	return vm, err
}

// readPod completes the settings by what the pod interface says. The interface has to be there only if it was asked for;
// that a podswitch has already taken its address changes neither MTU nor MAC.
func (f *hypervisorFlags) readPod(c *cobra.Command, wantMTU bool) error {
	id, err := f.discover(f.podInterface)
	if id == nil {
		if f.mac.PodMAC || c.Flags().Changed("pod-interface") {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "podswitch: note: nothing is known of the pod: %v\n", err)
		return nil
	}
	if wantMTU {
		f.settings.MTU = id.Link.MTU
	}
	switch known := id.Link.MAC != (podnet.MAC{}); {
	case known:
		f.settings.PodMAC = net.HardwareAddr(id.Link.MAC[:])
	case f.mac.PodMAC:
		return usageError{fmt.Errorf("--guest-mac pod: the pod interface %s has no MAC; give one", f.podInterface)}
	}
	if f.mac.PodMAC {
		f.settings.MAC = f.settings.PodMAC
	}
	return nil
}
