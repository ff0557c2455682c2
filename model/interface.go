package model

import (
	"bytes"
	"net"
	"slices"
	"strings"
)

// readInterface reads an entry of interfaces. It returns the interface and the rule that selected its method.
func (l layout) readInterface(v value) (iface Interface, rule string) {
	v.closed("name", "model", "macAddress", "bridge", "masquerade", "sriov", "passtBinding", "slirp", "macvtap", "passt",
		"binding", "ports", "portRanges", "bootOrder", "pciAddress", "acpiIndex", "dhcpOptions", "state", "tag")
	iface.Name = readName(v.field("name"))
	iface.Method, rule = l.readMethod(v, iface.Name)
	iface.Model = readModel(v)
	iface.MAC = readMAC(v.field("macAddress"), "interface "+v.field("name").path+" ")
	iface.RouterMAC = l.readRouterMAC(v.field("bridge").field("routerMac"), &iface)
	iface.BootOrder = readBootOrder(v, iface.Model)
	iface.PCIAddress = readPCIAddress(v)
	iface.ACPIIndex = readACPIIndex(v.field("acpiIndex"))
	iface.State = readState(v.field("state"), iface.Name)
	iface.Tag = v.field("tag").text()
	iface.Ports = readPorts(v)
	iface.DHCP = l.readDHCPOptions(v.field("dhcpOptions"))
	return iface, rule
}

// readName reads the name that connects an interface to its network.
func readName(v value) string {
	name := v.text()
	switch {
	case !v.isText(): // text has reported a fault
	case name == "":
		v.fault("must be given: the name of the network that this interface is connected to")
	case !namePattern.MatchString(name):
		v.fault("Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores (_)")
	}
	return name
}

// readModel reads the model. The default is virtio.
func readModel(v value) Model {
	field := v.field("model")
	model := Model(field.text())
	if model == "" {
		return Virtio
	}
	if !slices.Contains(models(), model) {
		var names []string
		for _, m := range models() {
			names = append(names, string(m))
		}
		field.fault("interface %s uses model %s that is not supported. Supported models: %s",
			v.field("name").path, show(string(model)), strings.Join(names, ", "))
	}
	return model
}

// models returns all models, in the order of the messages.
func models() []Model { return []Model{Virtio, E1000, E1000e, IGB, NE2kPCI, PCnet, RTL8139} }

// readMAC reads a MAC in any form that net.ParseMAC accepts. The result is nil when the field is absent. Unlike KubeVirt, readMAC
// rejects the all-zero address and addresses with the group bit of IEEE 802, which no network card can have. owner begins a fault.
func readMAC(field value, owner string) net.HardwareAddr {
	text := field.text()
	if text == "" {
		return nil
	}
	fault := func(what string) {
		field.fault("%shas %s MAC address (%s). Write 6 bytes with an even first one, as in 02:00:00:00:00:01", owner, what, show(text))
	}
	mac, err := net.ParseMAC(text)
	switch {
	case err != nil:
		fault("malformed")
	case len(mac) > 6:
		fault("too long")
	case mac[0]&1 != 0:
		fault("multicast")
	case bytes.Equal(mac, make([]byte, 6)):
		fault("all-zero")
	}
	return mac
}

// readBootOrder reads the position in the boot order, which requires a card with a boot ROM. The result is 0 when the field is
// absent. readModel reports an unknown model.
func readBootOrder(v value, m Model) uint64 {
	field := v.field("bootOrder")
	order, ok := field.whole()
	switch {
	case ok && order < 1:
		field.fault("%s must have a boot order > 0, if supplied", v.path)
	case ok && slices.Contains(models(), m) && !m.bootROM():
		field.fault("interface %s uses model %s, which has no boot ROM. Leave bootOrder out, or use another model",
			v.field("name").path, m)
	}
	return uint64(order)
}

// readPCIAddress reads the address on the guest's PCI bus. The result is empty when the field is absent.
func readPCIAddress(v value) string {
	field := v.field("pciAddress")
	address := field.text()
	if address != "" && !pciPattern.MatchString(address) {
		field.fault("interface %s has malformed PCI address (%s). Write domain:bus:slot.function with a slot of at most 1f, as in 0000:02:00.0",
			v.field("name").path, show(address))
	}
	return address
}

// maxACPIIndex is the largest index that QEMU accepts (hw/acpi/pcihp.c, ONBOARD_INDEX_MAX).
const maxACPIIndex = 16*1024 - 1

// readACPIIndex reads the index from which a guest derives a predictable interface name. The result is 0 when the field is absent.
func readACPIIndex(v value) int {
	index, ok := v.whole()
	if ok && (index < 0 || index > maxACPIIndex) {
		v.fault("must be from 1 to %d", maxACPIIndex)
		return 0
	}
	return int(index)
}

// readState reads the link state. The default is up.
func readState(v value, name string) State {
	switch state := v.text(); state {
	case "", "up":
		return Up
	case "down":
		return Down
	case "absent":
		v.fault("%q interface's state %q is not supported on default networks. Supported states: up, down", name, state)
	default:
		v.fault("logical %s interface state value is unsupported: %s. Supported states: up, down", show(name), show(state))
	}
	return Up
}
