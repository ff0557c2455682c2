package hypervisor

// The arguments of QEMU: qemu(1), "Network options", and what "-device MODEL,help" lists.

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/podswitch/podswitch/model"
)

// QEMUArgs returns the arguments of QEMU for the interface of vm: -netdev and -device, each followed by its value, one
// element an argument. The ids are "net-" and "nic-" with the interface's name, because an id has to start with a letter.
//
//   - stream and dgram need QEMU 7.2, the model igb 8.0.
//   - The boot ROM stays only with a bootOrder: without the ROM the card cannot boot from the network.
//   - Of pciAddress, addr= takes slot and function. QEMU names buses by ids and not by numbers, so that any other
//     bus than 0000:00 needs Settings.Bus, the id of the bus or of the port (bus=); then domain and bus of the address
//     are whatever that bus has.
//
// What no argument can say is in [QEMUNotes].
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

// QEMUNotes returns sentences about what the document says, but no argument of QEMU can; nil when there is nothing.
func QEMUNotes(vm *model.VM) (notes []string) {
	if vm.Interface.State == model.Down {
		notes = append(notes, fmt.Sprintf("state down: QEMU starts with the link up; take it down in its monitor: set_link nic-%s off", vm.Interface.Name))
	}
	return notes
}

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
	if e.queues > 1 {
		// A vector for each queue of each pair, one for changes of the configuration, one for the control queue.
		o.add("mq", "on").add("vectors", strconv.Itoa(2*e.queues+2))
	}
	if e.PCIAddress != "" {
		if e.bus == "" && (e.pci.domain != 0 || e.pci.bus != 0) {
			return nil, fmt.Errorf("pciAddress %s: QEMU names buses by ids; give the id of the bus with this number (--bus), or an address on bus 0000:00", e.PCIAddress)
		}
		if e.bus != "" {
			o.add("bus", e.bus)
		}
		o.add("addr", fmt.Sprintf("%02x.%x", e.pci.slot, e.pci.function))
	} else if e.bus != "" {
		return nil, fmt.Errorf("bus %q: there is no pciAddress in the VM document; give one, or leave the bus out", e.bus)
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

// deviceName returns what QEMU calls a model.
func deviceName(m model.Model) string {
	if m == model.Virtio {
		return "virtio-net-pci"
	}
	return string(m)
}

// options are the value of one argument of QEMU: a word and name=value, with commas between them.
type options struct{ parts []string }

func (o *options) word(text string) *options {
	o.parts = append(o.parts, text)
	return o
}

// add appends name=value. A comma in a value is doubled, as QEMU wants it.
func (o *options) add(name, value string) *options {
	return o.word(name + "=" + strings.ReplaceAll(value, ",", ",,"))
}

func (o *options) String() string { return strings.Join(o.parts, ",") }
