package model

// The connection method, and the rule that selected it.

import (
	"bytes"
	"net"
)

// readMethod reads the method of an interface. Only bridge is supported.
func (l layout) readMethod(v value, name string) (method Method, rule string) {
	count := l.rejectMethods(v)
	bridge := v.field("bridge")
	if bridge.given {
		count++
	}
	if count != 1 {
		v.fault("logical %s interface must have exactly one binding method or binding plugin; use %q",
			show(name), l.suggestedMethod())
	}
	if !bridge.given || !bridge.object() {
		return Bridge, ""
	}
	if l.kubevirt {
		bridge.closed(append([]string{"delegateIp"}, bridge.reject([]string{"routerMac"})...)...)
	} else {
		bridge.closed("delegateIp", "routerMac")
	}
	return l.readDelegateIP(bridge.field("delegateIp"))
}

// readRouterMAC reads the MAC that the guest sees for every other host. A plain bridge has no such MAC.
func (l layout) readRouterMAC(v value, iface *Interface) net.HardwareAddr {
	if l.kubevirt {
		return nil // readMethod has reported the fault
	}
	mac := readMAC(v, "")
	switch {
	case mac == nil:
	case iface.Method != DelegateIP:
		v.fault("needs delegateIp: true; with a plain Ethernet bridge the guest sees the MAC of every host")
	case bytes.Equal(mac, iface.MAC):
		v.fault("is also the guest's macAddress; use another one")
	}
	return mac
}

// rejectMethods reports a fault for every unsupported method and returns their number.
func (l layout) rejectMethods(v value) (count int) {
	discontinued := map[string]string{
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
		if message := discontinued[name]; message != "" {
			field.fault("%s; use %q", message, l.suggestedMethod())
		} else {
			field.fault("%s is not supported: bridge is the only method; use %q", name, l.suggestedMethod())
		}
	}
	return count
}

// suggestedMethod returns the method, as text of the document, that moves the pod address to the guest.
func (l layout) suggestedMethod() string {
	if l.kubevirt {
		return "bridge: {}"
	}
	return "bridge: {delegateIp: true}"
}

// readDelegateIP selects one of the two forms of bridge and returns the rule that selected it.
func (l layout) readDelegateIP(v value) (method Method, rule string) {
	where := l.devices.path
	if !v.given {
		if l.kubevirt {
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
