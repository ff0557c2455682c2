package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/hypervisor"
)

func qemuArgsCommand() *cobra.Command {
	var flags hypervisorFlags
	c := &cobra.Command{
		Use:   "qemu-args",
		Short: "Print the QEMU arguments for the guest's interface",
		Long: "Print the QEMU arguments for the guest's interface, one a line: -netdev and -device with the settings of the VM document.\n" +
			"qemu-args does not open or change anything.",
		Example: "  # Start QEMU with the arguments, in bash\n" +
			"  mapfile -t net < <(podswitch qemu-args --vm vm.yaml --guest packet:tap0)\n" +
			"  qemu-system-x86_64 -nodefaults \"${net[@]}\" disk.img",
		Args: exactly(),
	}
	output := addOutput(c)
	flags.add(c)
	c.Flags().StringVar(&flags.settings.Bus, "bus", "", "QEMU `ID` of the PCI bus of pciAddress in the VM document (default: the root bus, for bus 00)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		vm, err := flags.resolve(c)
		if err != nil {
			return err
		}
		args, err := hypervisor.QEMUArgs(vm, flags.guest, flags.settings)
		if err != nil {
			return usageError{err}
		}
		for _, note := range hypervisor.QEMUNotes(vm) {
			fmt.Fprintln(c.ErrOrStderr(), "podswitch: note:", note)
		}
		if output.value == "json" {
			return printJSON(c.OutOrStdout(), args)
		}
		for _, arg := range args {
			fmt.Fprintln(c.OutOrStdout(), arg)
		}
		return nil
	}
	return c
}
