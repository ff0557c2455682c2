package main

import (
	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/hypervisor"
)

func libvirtXMLCommand() *cobra.Command {
	var flags hypervisorFlags
	c := &cobra.Command{
		Use:   "libvirt-xml",
		Short: "Print libvirt's <interface> element for the guest's interface",
		Long: "Print libvirt's <interface> element for the guest's interface, with what the VM document says. It has a form for\n" +
			"packet:NAME only; for sockets use qemu-args. Nothing is opened or changed.",
		Args: exactly(),
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
