package hypervisor_test

import (
	"fmt"
	"log"
	"net"
	"strings"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
)

// The arguments of QEMU for the default VM on a tap that QEMU opens.
func ExampleQEMUArgs() {
	guest, err := hypervisor.ParseAttachment("packet:tap0")
	if err != nil {
		log.Fatal(err)
	}
	pod := net.HardwareAddr{0x0a, 0x58, 0x0a, 0xf4, 0x01, 0x07}
	args, err := hypervisor.QEMUArgs(model.Default(), guest, hypervisor.Settings{MTU: 1450, PodMAC: pod})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Join(args, "\n"))
	// Output:
	// -netdev
	// tap,id=net-default,ifname=tap0,script=no,downscript=no
	// -device
	// virtio-net-pci,netdev=net-default,id=nic-default,mac=e2:a4:9f:5d:53:09,host_mtu=1450,host_ufo=off,romfile=
}

// libvirt does not support unix sockets.
func ExampleLibvirtXML() {
	guest := hypervisor.Attachment{Kind: hypervisor.KindStream, Name: "/run/vm.sock"}
	_, err := hypervisor.LibvirtXML(model.Default(), guest, hypervisor.Settings{})
	fmt.Println(err)
	// Output:
	// guest stream:/run/vm.sock: libvirt's <interface> does not support it (use packet:NAME, or put the output of podswitch qemu-args into <qemu:commandline>)
}
