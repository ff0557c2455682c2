package model

// Theory of operation. Parse walks the document once, from the outside in, and records every fault on its way:
//
//  1. read      decodes the bytes into one object (document.go)
//  2. locate    determines the format, and with it the location of interfaces and networks
//  3. resolve   returns the default if there are none; else readInterface (interface.go) and readNetwork read the entries,
//     and connect (connect.go) checks that they match
//
// The result has passed every rule, so that its users need no further checks.

import "strings"

// Parse reads a VM document in YAML or JSON, of at most 2 MiB, and fills in every default. If the document has faults, Parse
// returns a nil VM and an error of type [Faults] with all of them; it returns no other error. Parse does not retain data, and
// the caller owns the VM. It does not panic, whatever data contains.
func Parse(data []byte) (*VM, error) {
	var faults Faults
	var vm *VM
	if root, ok := read(data, &faults); ok {
		root.closed("apiVersion", "kind", "metadata", "spec", "status")
		kind := checkKind(root.field("kind"))
		vm = locate(root.field("spec"), kind).resolve()
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return vm, nil
}

// checkKind accepts the three kinds that have one of the formats, and an absent kind. It returns the kind.
func checkKind(kind value) string {
	name := kind.text()
	switch name {
	case "", "VM", "VirtualMachine", "VirtualMachineInstance":
	default:
		kind.fault("%s is not a kind of VM; supported kinds: VM, VirtualMachine, VirtualMachineInstance", show(name))
	}
	return name
}

// A layout is the location of the objects that podswitch reads, for one format of document.
type layout struct {
	spec     value // contains networks, hostname and subdomain
	devices  value // contains interfaces
	other    value // the devices of the other format without a template; not set in a document with a template
	kubevirt bool  // bridge means delegateIp
}

// locate determines the format of a document. A document without interfaces has no definite format; locate then picks the one that
// suits the kind and the other fields, so that messages name the fields that the author most likely wants.
func locate(spec value, kind string) layout {
	if !spec.object() {
		return layout{spec: spec, devices: spec.field("devices")}
	}
	template := spec.field("template")
	if template.data != nil {
		return locateTemplate(spec, template)
	}
	spec.open("devices", "domain", "networks", "template", "hostname", "subdomain")
	own := layout{spec: spec, devices: spec.field("devices")}
	own.openDevices()
	domain := spec.field("domain")
	kubevirt := layout{spec: spec, devices: openDomain(domain), other: own.devices, kubevirt: true}
	own.other = kubevirt.devices

	switch inOwn, inKubevirt := own.hasInterfaces(), kubevirt.hasInterfaces(); {
	case inOwn && inKubevirt:
		kubevirt.devices.field("interfaces").fault("interfaces are also given at %s; keep one of the two lists",
			own.devices.field("interfaces").path)
		kubevirt.checkInterfaces()
		return own
	case inOwn:
		return own
	case inKubevirt || domain.data != nil || strings.HasPrefix(kind, "VirtualMachine"):
		return kubevirt
	}
	return own
}

// locateTemplate returns the layout of a VirtualMachine. No field that podswitch reads may stand beside its template.
func locateTemplate(spec, template value) layout {
	spec.open("devices", "domain", "networks", "template", "hostname", "subdomain")
	if template.object() {
		template.closed("metadata", "spec")
	}
	inner := template.field("spec")
	if inner.object() {
		inner.open("domain", "networks", "hostname", "subdomain")
	}
	l := layout{spec: inner, devices: openDomain(inner.field("domain")), kubevirt: true}
	moves := []struct{ from, to value }{
		{spec.field("devices"), l.devices},
		{spec.field("domain"), inner.field("domain")},
		{spec.field("networks"), inner.field("networks")},
		{spec.field("hostname"), inner.field("hostname")},
		{spec.field("subdomain"), inner.field("subdomain")},
	}
	for _, move := range moves {
		if move.from.data != nil {
			move.from.fault("does not belong beside %s; move it to %s", template.path, move.to.path)
		}
	}
	return l
}

// openDomain checks the field names of a domain and returns its devices.
func openDomain(domain value) (devices value) {
	if domain.object() {
		domain.open("devices")
	}
	l := layout{devices: domain.field("devices")}
	l.openDevices()
	return l.devices
}

// openDevices checks the field names of an object that may contain interfaces.
func (l layout) openDevices() {
	if l.devices.object() {
		l.devices.open("interfaces", "autoattachPodInterface")
	}
}

// hasInterfaces reports whether the document has interfaces at l, valid or not.
func (l layout) hasInterfaces() bool {
	list, isList := l.devices.field("interfaces").data.([]any)
	return len(list) > 0 || !isList && l.devices.field("interfaces").data != nil
}

// checkInterfaces reports the faults of the interfaces at l and discards the result.
func (l layout) checkInterfaces() {
	interfaces, _ := l.devices.field("interfaces").items()
	for _, v := range interfaces {
		if v.object() {
			l.readInterface(v)
		}
	}
}

// resolve reads the objects at l. The result is valid only if no fault was found.
func (l layout) resolve() *VM {
	vm := Default()
	interfaces, ok := l.devices.field("interfaces").items()
	networks, networksOK := l.spec.field("networks").items()
	if len(interfaces) == 0 && len(networks) == 0 {
		if ok && networksOK {
			l.checkAutoattach()
		}
	} else {
		l.connect(vm, interfaces, networks, ok && networksOK)
	}
	vm.Hostname = label(l.spec.field("hostname"))
	vm.Subdomain = label(l.spec.field("subdomain"))
	return vm
}

// checkAutoattach reports a fault when a document without interfaces forbids the default interface. It checks both formats, because
// such a document has no definite format.
func (l layout) checkAutoattach() {
	for _, devices := range []value{l.devices, l.other} {
		field := devices.field("autoattachPodInterface")
		if field.data == nil {
			continue
		}
		if attach, ok := field.boolean(); ok && !attach {
			field.fault("false leaves the guest without an interface, and exactly one is supported; set it to true, or add one to %s",
				l.devices.field("interfaces").path)
		}
	}
}

// label reads a DNS label (RFC 1123, section 2.1), in lower case as Kubernetes requires. The result is empty when v is absent.
func label(v value) string {
	text := v.text()
	if text != "" && (len(text) > 63 || !labelPattern.MatchString(text)) {
		v.fault("%s is not a DNS label: use at most 63 lower-case letters, digits and dashes, "+
			"with a letter or digit at both ends", show(text))
	}
	return text
}
