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
		Short: "Print QEMU's arguments for the guest's interface, one a line",
		Long: "Print QEMU's arguments for the guest's interface, one a line: -netdev and -device with what the VM document says.\n" +
			"Nothing is opened or changed.",
		Example: "  # Give them to QEMU, in bash\n" +
			"  mapfile -t net < <(podswitch qemu-args --vm vm.yaml --guest packet:tap0)\n" +
			"  qemu-system-x86_64 -nodefaults \"${net[@]}\" disk.img",
		Args: exactly(),
	}
	output := addOutput(c)
	flags.add(c)
	c.Flags().StringVar(&flags.settings.Bus, "bus", "", "QEMU's id of the PCI bus of the document's pciAddress (default: the machine's own, for bus 00)")
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
