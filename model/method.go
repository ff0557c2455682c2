package model

// The connection method, and the rule by which it was found.

// readMethod reads the methods of an interface, of which bridge is the only one.
func (p place) readMethod(v value, name string) (method Method, rule string) {
	count := p.rejectMethods(v)
	bridge := v.field("bridge")
	if bridge.given {
		count++
	}
	if count != 1 {
		v.fault("logical %s interface must have exactly one binding method or binding plugin; use %q",
			show(name), p.rightMethod())
	}
	if !bridge.given || !bridge.object() {
		return Bridge, ""
	}
	bridge.closed("delegateIp")
	return p.readDelegateIP(bridge.field("delegateIp"))
}

// rejectMethods notes a fault for every method that podswitch does not have and returns how many there are.
func (p place) rejectMethods(v value) (count int) {
	gone := map[string]string{
		"slirp":   "Slirp interface support has been discontinued since v1.3",
		"passt":   "Passt network binding has been discontinued since v1.3",
		"macvtap": "Macvtap network binding has been discontinued since v1.3",
	}
	for _, name := range []string{"masquerade", "sriov", "passtBinding", "slirp", "macvtap", "passt", "binding"} {
		field := v.field(name)
		if !field.given {
			continue
		}
		count++
		if message := gone[name]; message != "" {
			field.fault("%s; use %q", message, p.rightMethod())
		} else {
			field.fault("%s is not supported: bridge is the only method; use %q", name, p.rightMethod())
		}
	}
	return count
}

// rightMethod is what to write to get a guest that takes over the pod's address.
func (p place) rightMethod() string {
	if p.kubevirt {
		return "bridge: {}"
	}
	return "bridge: {delegateIp: true}"
}

// readDelegateIP decides between the two forms of bridge and says why.
func (p place) readDelegateIP(v value) (method Method, rule string) {
	where := p.devices.path
	if !v.given {
		if p.kubevirt {
			return DelegateIP, where + ": bridge means delegateIp, as KubeVirt does"
		}
		return Bridge, where + ": delegateIp absent means a plain Ethernet bridge"
	}
	delegate, _ := v.boolean()
	if delegate {
		return DelegateIP, where + ": delegateIp: true moves the pod address to the guest"
	}
	return Bridge, where + ": delegateIp: false means a plain Ethernet bridge"
}
