package model

// The lists of interfaces and networks. Each interface needs a network of the same name and the other way round, and exactly one
// pair is supported.

// A listEntry is an entry of interfaces or networks.
type listEntry struct {
	value
	name string // empty when the name is absent or not a string
	pod  bool   // the entry is a network with the pod backend
}

// connect reads interfaces and networks, checks that they match, and stores the first interface in vm. If complete is false, one
// of the lists could not be read; then connect does not report missing entries.
func (l layout) connect(vm *VM, interfaces, networks []value, complete bool) {
	var frontends, backends []listEntry
	for i, v := range interfaces {
		if !v.object() {
			complete = false
			continue
		}
		iface, rule := l.readInterface(v)
		if i == 0 {
			vm.Interface, vm.Rule = iface, rule
		}
		frontends = append(frontends, listEntry{value: v, name: iface.Name})
	}
	for _, v := range networks {
		if !v.object() {
			complete = false
			continue
		}
		name, pod := readNetwork(v)
		backends = append(backends, listEntry{value: v, name: name, pod: pod})
	}
	l.checkSingle(frontends, backends)
	checkUnique(frontends, func(e listEntry) {
		e.field("name").fault("Only one interface can be connected to one specific network; give every interface its own name")
	})
	checkUnique(backends, func(b listEntry) {
		b.field("name").fault("Network with name %q already exists, every network must have a unique name", b.name)
	})
	if complete {
		l.checkPairs(frontends, backends)
	}
}

// checkSingle reports a fault when there is more than one interface.
func (l layout) checkSingle(frontends, backends []listEntry) {
	if len(frontends) < 2 {
		return
	}
	list := l.devices.field("interfaces")
	networks, pods := byName(backends), 0
	for _, frontend := range frontends {
		if networks[frontend.name].pod {
			pods++
		}
	}
	if pods > 1 {
		list.fault("more than one interface is connected to a pod network in spec.interfaces; keep one of the %d", len(frontends))
		return
	}
	list.fault("there are %d interfaces, and exactly one is supported; keep the one on the pod network", len(frontends))
}

// checkUnique calls duplicate for every entry that has the name of an earlier one.
func checkUnique(entries []listEntry, duplicate func(listEntry)) {
	seen := make(map[string]bool, len(entries))
	for _, entry := range entries {
		if entry.name != "" && seen[entry.name] {
			duplicate(entry)
		}
		seen[entry.name] = true
	}
}

// checkPairs reports a fault for every interface without a network and every network without an interface.
func (l layout) checkPairs(frontends, backends []listEntry) {
	interfaces, networks := byName(frontends), byName(backends)
	for _, frontend := range frontends {
		if _, found := networks[frontend.name]; !found && frontend.name != "" {
			name := frontend.field("name")
			name.fault("%s '%s' not found. Add a network of the same name to %s: {name: %s, pod: {}}",
				name.path, show(frontend.name), l.spec.field("networks").path, show(frontend.name))
		}
	}
	for _, backend := range backends {
		if _, found := interfaces[backend.name]; !found && backend.name != "" {
			name := backend.field("name")
			name.fault("%s '%s' not found. Add an interface of the same name to %s: {name: %s, %s}, or remove this network",
				name.path, show(backend.name), l.devices.field("interfaces").path, show(backend.name), l.suggestedMethod())
		}
	}
}

// byName indexes entries by name. Of entries with the same name, the last one remains.
func byName(entries []listEntry) map[string]listEntry {
	index := make(map[string]listEntry, len(entries))
	for _, entry := range entries {
		index[entry.name] = entry
	}
	return index
}

// readNetwork reads an entry of networks and reports whether its backend is the pod network.
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

// readPod reads the pod backend. None of its options applies to the bridge method.
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
