package hypervisor

// The arguments of QEMU. Sources: qemu(1), "Network options", and the output of "-device MODEL,help".

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/podswitch/podswitch/model"
)

// QEMUArgs returns the arguments of QEMU for the interface of vm: -netdev and -device, each followed by its value, one element an
// argument. The ids are the name of the interface with the prefixes "net-" and "nic-", because an id must start with a letter.
//
//   - stream and dgram require QEMU 7.2; the model igb requires QEMU 8.0.
//   - Without a bootOrder the card has no boot ROM, so that it cannot boot from the network.
//   - addr= contains only slot and function of pciAddress. QEMU identifies a bus by an id and not by a number: any bus other than
//     0000:00 requires Settings.Bus, the id of the bus or of its port, which replaces domain and bus of pciAddress.
//   - host_ufo=off keeps the guest from leaving IP fragments to the tap.
//
// [QEMUNotes] returns the settings of vm for which QEMU has no argument.
func QEMUArgs(vm *model.VM, guest Attachment, s Settings) ([]string, error) {
	e, err := resolve(vm, guest, s)
	if err != nil {
		return nil, err
	}
	device, err := e.device()
	if err != nil {
		return nil, err
	}
	return []string{"-netdev", e.netdev().String(), "-device", device.String()}, nil
}

// QEMUNotes returns one sentence for each setting of vm for which QEMU has no argument, with the step that replaces the argument. The
// result is nil if there is none.
func QEMUNotes(vm *model.VM) (notes []string) {
	if vm.Interface.State == model.Down {
		notes = append(notes, fmt.Sprintf("state down: QEMU starts with the link up; set it down in the QEMU monitor: set_link nic-%s off", vm.Interface.Name))
	}
	return notes
}

// hasOffloads reports whether the guest may leave work to the tap. Of that, a packet socket cannot describe datagrams to be cut into IP fragments
// (UFO): podswitch then takes each of them in two system calls more (tap/datagram.go), and QEMU offers UFO unless it is told otherwise.
func (e *endpoint) hasOffloads() bool { return e.Model == model.Virtio && e.guest.Kind == KindPacket }

// netdev returns the value of -netdev.
func (e *endpoint) netdev() *options {
	o := new(options)
	id := "net-" + e.Name
	switch e.guest.Kind {
	case KindPacket:
		o.word("tap").add("id", id).add("ifname", e.guest.Name).add("script", "no").add("downscript", "no")
		if e.queues > 1 {
			o.add("queues", strconv.Itoa(e.queues))
		}
	case KindStream:
		o.word("stream").add("id", id).add("server", "off").add("addr.type", "unix").add("addr.path", e.guest.Name)
	case KindDgram:
		switchPath, ownPath := e.guest.paths()
		o.word("dgram").add("id", id).add("local.type", "unix").add("local.path", ownPath).
			add("remote.type", "unix").add("remote.path", switchPath)
	}
	return o
}

// device returns the value of -device.
func (e *endpoint) device() (*options, error) {
	o := new(options).word(deviceName(e.Model)).add("netdev", "net-"+e.Name).add("id", "nic-"+e.Name).add("mac", e.mac.String())
	if e.mtu != 0 {
		o.add("host_mtu", strconv.Itoa(e.mtu))
	}
	if e.hasOffloads() {
		o.add("host_ufo", "off")
	}
	if e.queues > 1 {
		// One vector for each queue of each pair, one for configuration changes, one for the control queue.
		o.add("mq", "on").add("vectors", strconv.Itoa(2*e.queues+2))
	}
	if err := e.addAddress(o); err != nil {
		return nil, err
	}
	if e.ACPIIndex != 0 {
		o.add("acpi-index", strconv.Itoa(e.ACPIIndex))
	}
	switch {
	case e.BootOrder == 0:
		o.add("romfile", "")
	case e.BootOrder > math.MaxInt32:
		return nil, fmt.Errorf("bootOrder %d: want at most %d", e.BootOrder, math.MaxInt32)
	default:
		o.add("bootindex", strconv.FormatUint(e.BootOrder, 10))
	}
	return o, nil
}

// addAddress adds the PCI address, if the document has one.
func (e *endpoint) addAddress(o *options) error {
	switch {
	case e.PCIAddress == "" && e.bus == "":
		return nil
	case e.PCIAddress == "":
		return fmt.Errorf("--bus %s needs a pciAddress in the VM document", e.bus)
	case e.bus == "" && (e.pci.domain != 0 || e.pci.bus != 0):
		return fmt.Errorf("pciAddress %s: QEMU identifies buses by ids (give the id of this bus with --bus, or use an address on bus 0000:00)", e.PCIAddress)
	case e.bus != "":
		o.add("bus", e.bus)
	}
	o.add("addr", fmt.Sprintf("%02x.%x", e.pci.slot, e.pci.function))
	return nil
}

// deviceName returns QEMU's name of a model.
func deviceName(m model.Model) string {
	if m == model.Virtio {
		return "virtio-net-pci"
	}
	return string(m)
}

// options is the value of a QEMU argument: words and name=value, separated by commas.
type options struct{ parts []string }

func (o *options) word(text string) *options {
	o.parts = append(o.parts, text)
	return o
}

// add appends name=value. QEMU requires commas in a value to be doubled.
func (o *options) add(name, value string) *options {
	return o.word(name + "=" + strings.ReplaceAll(value, ",", ",,"))
}

func (o *options) String() string { return strings.Join(o.parts, ",") }
