package model

// Interfaces and networks as a whole: each interface with its network, each network with its interface, and one of both.

// A named value is an entry of the interfaces or the networks.
type named struct {
	value
	name string // "" when it is absent or not a string
	pod  bool   // a network with the pod backend
}

// connect reads interfaces and networks and checks that they belong together. The first interface becomes vm's. Without
// complete, one of the lists could not be read, and nothing is said to be missing from it.
func (p place) connect(vm *VM, interfaces, networks []value, complete bool) {
	var ends, backends []named
	for i, v := range interfaces {
		if !v.object() {
			complete = false
			continue
		}
		iface, rule := p.readInterface(v)
		if i == 0 {
			vm.Interface, vm.Rule = iface, rule
		}
		ends = append(ends, named{value: v, name: iface.Name})
	}
	for _, v := range networks {
		if !v.object() {
			complete = false
			continue
		}
		name, pod := readNetwork(v)
		backends = append(backends, named{value: v, name: name, pod: pod})
	}
	p.checkSingle(ends, backends)
	checkUnique(ends, func(e named) {
		e.field("name").fault("Only one interface can be connected to one specific network; give every interface its own name")
	})
	checkUnique(backends, func(b named) {
		b.field("name").fault("Network with name %q already exists, every network must have a unique name", b.name)
	})
	if complete {
		p.checkPairs(ends, backends)
	}
}

// checkSingle notes a fault when there is more than one interface.
func (p place) checkSingle(ends, backends []named) {
	if len(ends) < 2 {
		return
	}
	list := p.devices.field("interfaces")
	networks, pods := byName(backends), 0
	for _, end := range ends {
		if networks[end.name].pod {
			pods++
		}
	}
	if pods > 1 {
		list.fault("more than one interface is connected to a pod network in spec.interfaces; keep one of the %d", len(ends))
		return
	}
	list.fault("there are %d interfaces, and exactly one is supported; keep the one on the pod network", len(ends))
}

// checkUnique calls again for every entry whose name an earlier one has.
func checkUnique(entries []named, again func(named)) {
	seen := make(map[string]bool, len(entries))
	for _, entry := range entries {
		if entry.name != "" && seen[entry.name] {
			again(entry)
		}
		seen[entry.name] = true
	}
}

// checkPairs notes a fault for every name that only an interface or only a network has.
func (p place) checkPairs(ends, backends []named) {
	interfaces, networks := byName(ends), byName(backends)
	for _, end := range ends {
		if _, found := networks[end.name]; !found && end.name != "" {
			name := end.field("name")
			name.fault("%s '%s' not found. Add a network of the same name to %s: {name: %s, pod: {}}",
				name.path, show(end.name), p.spec.field("networks").path, show(end.name))
		}
	}
	for _, backend := range backends {
		if _, found := interfaces[backend.name]; !found && backend.name != "" {
			name := backend.field("name")
			name.fault("%s '%s' not found. Add an interface of the same name to %s: {name: %s, %s}, or remove this network",
				name.path, show(backend.name), p.devices.field("interfaces").path, show(backend.name), p.rightMethod())
		}
	}
}

// byName returns the entries by their names; of those with the same name, the last.
func byName(entries []named) map[string]named {
	index := make(map[string]named, len(entries))
	for _, entry := range entries {
		index[entry.name] = entry
	}
	return index
}

// readNetwork reads an entry of the networks and tells whether its backend is the pod network.
func readNetwork(v value) (name string, pod bool) {
	v.closed("name", "pod", "multus", "resourceClaim")
	name = v.field("name").text()
	if name == "" && v.field("name").isText() {
		v.field("name").fault("must be given: the name of the interface that is connected to this network")
	}
	backends := 0
	for _, backend := range []string{"multus", "resourceClaim"} {
		if field := v.field(backend); field.given {
			backends++
			field.fault("%s is not supported: the pod network is the only backend; use \"pod: {}\"", backend)
		}
	}
	field := v.field("pod")
	if field.given {
		backends++
		readPod(field)
	}
	switch {
	case backends == 0:
		v.fault("should have a network type; add \"pod: {}\"")
	case backends > 1:
		v.fault("should have only one network type; keep \"pod: {}\"")
	}
	return name, field.given
}

// readPod reads the pod backend, which has no options that mean something under the bridge method.
func readPod(v value) {
	if !v.object() {
		return
	}
	v.closed("vmNetworkCIDR", "vmIPv6NetworkCIDR")
	for _, name := range []string{"vmNetworkCIDR", "vmIPv6NetworkCIDR"} {
		if field := v.field(name); field.data != nil && field.data != "" {
			field.fault("%s is for masquerade interfaces only; leave it out: under bridge the network is the pod's own", name)
		}
	}
}
