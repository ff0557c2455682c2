package main

import (
	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/hypervisor"
)

func libvirtXMLCommand() *cobra.Command {
	var flags hypervisorFlags
	c := &cobra.Command{
		Use:   "libvirt-xml",
		Short: "Print the libvirt <interface> element for the guest's interface",
		Long: "Print the libvirt <interface> element for the guest's interface, with the settings of the VM document. libvirt supports only\n" +
			"packet:NAME; for unix sockets use podswitch qemu-args. libvirt-xml does not open or change anything.",
		Example: "  podswitch libvirt-xml --vm vm.yaml --guest packet:tap0",
		Args:    exactly(),
	}
	flags.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		vm, err := flags.resolve(c)
		if err != nil {
			return err
		}
		text, err := hypervisor.LibvirtXML(vm, flags.guest, flags.settings)
		if err != nil {
			return usageError{err}
		}
		_, err = c.OutOrStdout().Write(text)
		return err
	}
	return c
}
