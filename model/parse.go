package model

// Theory of operation. Parse goes down the document once, from the outside in, and notes every fault on its way:
//
//  1. read      bytes to one decoded object (document.go)
//  2. locate    which of the three shapes it has, and where therefore interfaces and networks stand
//  3. resolve   no interfaces and no networks: the default; else readInterface (interface.go), readNetwork
//     and connect (connect.go), which checks that they belong together
//
// What it returns has passed every rule; nothing after it has to check the document again.

import "strings"

// Parse reads a VM document, YAML or JSON, and fills in every default. Its error is always of type [Faults] and holds
// all faults of the document. It never panics, and keeps nothing of data.
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

// checkKind allows the three kinds that have one of the shapes, and none. It returns the kind.
func checkKind(kind value) string {
	name := kind.text()
	switch name {
	case "", "VM", "VirtualMachine", "VirtualMachineInstance":
	default:
		kind.fault("%s is not a kind of VM; supported kinds: VM, VirtualMachine, VirtualMachineInstance", show(name))
	}
	return name
}

// A place is where a document of one shape keeps what podswitch reads.
type place struct {
	spec     value // holds networks, hostname and subdomain
	devices  value // holds interfaces
	beside   value // the devices of the other shape that the document may have; none beside a template
	kubevirt bool  // bridge means delegateIp
}

// locate finds the shape of a document. Without interfaces the shape cannot be told; then it is the one that suits the
// kind and the rest of the document, so that messages name the fields that the author is likely to want.
func locate(spec value, kind string) place {
	if !spec.object() {
		return place{spec: spec, devices: spec.field("devices")}
	}
	template := spec.field("template")
	if template.data != nil {
		return locateTemplate(spec, template)
	}
	spec.open("devices", "domain", "networks", "template", "hostname", "subdomain")
	own := place{spec: spec, devices: spec.field("devices")}
	own.openDevices()
	domain := spec.field("domain")
	kubevirt := place{spec: spec, devices: openDomain(domain), beside: own.devices, kubevirt: true}
	own.beside = kubevirt.devices

	switch inOwn, inKubevirt := own.hasInterfaces(), kubevirt.hasInterfaces(); {
	case inOwn && inKubevirt:
		kubevirt.devices.field("interfaces").fault("there are interfaces at %s, too; keep one of the two places",
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

// locateTemplate finds the place in a VirtualMachine, where nothing that podswitch reads stands beside the template.
func locateTemplate(spec, template value) place {
	spec.open("devices", "domain", "networks", "template", "hostname", "subdomain")
	if template.object() {
		template.closed("metadata", "spec")
	}
	inner := template.field("spec")
	if inner.object() {
		inner.open("domain", "networks", "hostname", "subdomain")
	}
	p := place{spec: inner, devices: openDomain(inner.field("domain")), kubevirt: true}
	moves := []struct{ from, to value }{
		{spec.field("devices"), p.devices},
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
	return p
}

// openDomain checks the fields of a domain and returns its devices.
func openDomain(domain value) (devices value) {
	if domain.object() {
		domain.open("devices")
	}
	p := place{devices: domain.field("devices")}
	p.openDevices()
	return p.devices
}

// openDevices checks the fields of an object that may hold the interfaces.
func (p place) openDevices() {
	if p.devices.object() {
		p.devices.open("interfaces", "autoattachPodInterface")
	}
}

// hasInterfaces tells whether something stands where the interfaces should be, right or wrong.
func (p place) hasInterfaces() bool {
	list, isList := p.devices.field("interfaces").data.([]any)
	return len(list) > 0 || !isList && p.devices.field("interfaces").data != nil
}

// checkInterfaces only notes the faults of the interfaces at p.
func (p place) checkInterfaces() {
	interfaces, _ := p.devices.field("interfaces").items()
	for _, v := range interfaces {
		if v.object() {
			p.readInterface(v)
		}
	}
}

// resolve reads what stands at p. What it returns is only valid when no fault was found.
func (p place) resolve() *VM {
	vm := Default()
	interfaces, ok := p.devices.field("interfaces").items()
	networks, networksOK := p.spec.field("networks").items()
	if len(interfaces) == 0 && len(networks) == 0 {
		if ok && networksOK {
			p.checkAutoattach()
		}
	} else {
		p.connect(vm, interfaces, networks, ok && networksOK)
	}
	vm.Hostname = label(p.spec.field("hostname"))
	vm.Subdomain = label(p.spec.field("subdomain"))
	return vm
}

// checkAutoattach notes a fault when a document without interfaces forbids the default one. It may do so in both shapes: without
// interfaces, which of them it has is a guess.
func (p place) checkAutoattach() {
	for _, devices := range []value{p.devices, p.beside} {
		field := devices.field("autoattachPodInterface")
		if field.data == nil {
			continue
		}
		if attach, ok := field.boolean(); ok && !attach {
			field.fault("false leaves the guest without an interface, and exactly one is supported; set it to true, or add one to %s",
				p.devices.field("interfaces").path)
		}
	}
}

// label returns a DNS label (RFC 1123, section 2.1), lower-case as Kubernetes demands it; "" when it is absent.
func label(v value) string {
	text := v.text()
	if text != "" && (len(text) > 63 || !labelPattern.MatchString(text)) {
		v.fault("%s is not a DNS label: use at most 63 lower-case letters, digits and dashes, "+
			"with a letter or digit at both ends", show(text))
	}
	return text
}
