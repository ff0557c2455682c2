package model

import (
	"fmt"

	"go.yaml.in/yaml/v2"
)

// Marshal returns vm as a YAML document in podswitch's own format. The document always contains the model and delegateIp; it omits
// other fields that have their default value. [Parse] reads it back as an equal VM, except for Rule. Marshal does not validate:
// vm must come from Parse or Default, with valid changes. The caller owns the result.
func (vm *VM) Marshal() ([]byte, error) {
	spec := object{}.add("devices", object{}.add("interfaces", []object{vm.Interface.document()})).
		add("networks", []object{object{}.add("name", vm.Interface.Name).add("pod", object{})}).
		addText("hostname", vm.Hostname).
		addText("subdomain", vm.Subdomain)
	text, err := yaml.Marshal(object{}.add("kind", "VM").add("spec", spec))
	if err != nil {
		return nil, fmt.Errorf("write the VM document: %w", err)
	}
	return text, nil
}

// An object is a YAML object with ordered fields.
type object yaml.MapSlice

// MarshalYAML implements yaml.Marshaler. The encoder keeps the order of a yaml.MapSlice, but not of a type derived from it.
func (o object) MarshalYAML() (any, error) { return yaml.MapSlice(o), nil }

// add appends a field.
func (o object) add(name string, data any) object {
	return append(o, yaml.MapItem{Key: name, Value: data})
}

// addText appends a string field, unless the string is empty.
func (o object) addText(name, text string) object {
	if text == "" {
		return o
	}
	return o.add(name, text)
}

// document returns i as an entry of spec.devices.interfaces.
func (i *Interface) document() object {
	o := object{}.add("name", i.Name).add("model", string(i.Model)).addText("macAddress", i.MAC.String()).
		add("bridge", object{}.add("delegateIp", i.Method == DelegateIP).addText("routerMac", i.RouterMAC.String()))
	if i.BootOrder != 0 {
		o = o.add("bootOrder", i.BootOrder)
	}
	o = o.addText("pciAddress", i.PCIAddress)
	if i.ACPIIndex != 0 {
		o = o.add("acpiIndex", i.ACPIIndex)
	}
	if i.State != Up {
		o = o.add("state", string(i.State))
	}
	o = o.addText("tag", i.Tag)
	if len(i.Ports) > 0 {
		o = o.add("ports", portsDocument(i.Ports))
	}
	if options := i.DHCP.document(); len(options) > 0 {
		o = o.add("dhcpOptions", options)
	}
	return o
}

// portsDocument returns ports as interfaces[].ports.
func portsDocument(ports []Port) (list []object) {
	for _, port := range ports {
		list = append(list, object{}.addText("name", port.Name).add("protocol", port.Protocol).add("port", port.Number))
	}
	return list
}

// document returns d as interfaces[].dhcpOptions.
func (d *DHCPOptions) document() object {
	o := object{}.addText("bootFileName", d.BootFileName).addText("tftpServerName", d.TFTPServerName)
	if len(d.NTPServers) > 0 {
		servers := make([]string, len(d.NTPServers))
		for i, server := range d.NTPServers {
			servers[i] = server.String()
		}
		o = o.add("ntpServers", servers)
	}
	var private []object
	for _, option := range d.PrivateOptions {
		private = append(private, object{}.add("option", option.Code).add("value", option.Value))
	}
	if len(private) > 0 {
		o = o.add("privateOptions", private)
	}
	if files := bootFilesDocument(d.BootFiles); len(files) > 0 {
		o = o.add("clientBootFiles", files)
	}
	if options := optionsDocument(d.Options); len(options) > 0 {
		o = o.add("options", options)
	}
	if len(d.BootParameters) > 0 {
		o = o.add("bootParameters", d.BootParameters)
	}
	return o.addText("subnet", string(d.Subnet))
}
