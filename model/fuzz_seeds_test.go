package model

// interfaceSeeds returns fields of an interface, each for a document of its own, with the case that they exercise.
func interfaceSeeds() []struct{ name, fields string } {
	return []struct{ name, fields string }{
		{"an unknown model", "bridge: {}, model: vmxnet3"},
		{"a number for a string", "bridge: {}, model: 1000"},
		{"a malformed MAC", "bridge: {}, macAddress: nonsense"},
		{"a MAC of 8 bytes", "bridge: {}, macAddress: '02:00:00:00:00:00:00:01'"},
		{"a multicast MAC", "bridge: {}, macAddress: '01:00:5e:00:00:01'"},
		{"the zero MAC", "bridge: {}, macAddress: '00:00:00:00:00:00'"},
		{"a truncated PCI address", "bridge: {}, pciAddress: '0000:02:00.8'"},
		{"boot order 0", "bridge: {}, bootOrder: 0"},
		{"boot order 1, and the largest ACPI index", "bridge: {}, bootOrder: 1, acpiIndex: 16383"},
		{"a model without a boot ROM", "bridge: {}, model: igb, bootOrder: 1"},
		{"a string for a number", "bridge: {}, bootOrder: '1'"},
		{"a fraction", "bridge: {}, bootOrder: 1.5"},
		{"a number beyond 64 bits", "bridge: {}, bootOrder: 18446744073709551615"},
		{"an index too large", "bridge: {}, acpiIndex: 16384"},
		{"a line break in a fault", "bridge: {}, state: \"a\\nb\""},
		{"a state that only KubeVirt supports", "bridge: {}, state: absent"},
		{"a list for a string", "bridge: {}, tag: [a]"},
		{"a value for an object", "bridge: true"},
		{"a string for a boolean", "bridge: {delegateIp: 'true'}"},
		{"no value", "bridge: {delegateIp: }"},
		{"another spelling", "bridge: {delegateIP: true}"},
		{"no method", "model: virtio"},
		{"methods of KubeVirt", "masquerade: {}, sriov: , passt: {}, slirp: {}, macvtap: {}"},
		{"a plugin", "binding: {name: other}"},
		{"unknown fields", "bridge: {}, modle: virtio, dhcp: x, networks: [], 'a b': x, portRanges: [{start: 1, end: 2}]"},
		{"invalid ports", "bridge: {}, ports: [80, {name: a}, {port: 0}, {port: 65536}, {port: -1}, {port: '80'}]"},
		{"ports of the wrong type", "bridge: {}, ports: 80"},
		{"port names", "bridge: {}, ports: [{name: a, port: 1}, {name: a, port: 2}, {name: A, port: 3}, {name: abcdefghijklmnop, port: 4}]"},
		{"a protocol in lower case", "bridge: {}, ports: [{port: 1, protocol: tcp, prot: x}]"},
		{"options of the wrong type", "bridge: {}, dhcpOptions: []"},
		{"invalid servers", "bridge: {}, dhcpOptions: {ntpServers: [10.0.0.1, 'fe80::1', pool.ntp.org, null, 7], bootFile: x}"},
		{"invalid private options", "bridge: {}, dhcpOptions: {privateOptions: [{option: 223, value: a}, {option: 255}, {value: b}, " +
			"{option: 224, value: 5}, {option: 224}, {code: 224, option: 225}]}"},
		{"fields of IPv6", "bridge: {delegateIp: true, routerMac: 02-00-00-00-00-FE}, dhcpOptions: {bootFileName: 'tftp://h/b', ntpServers: [fd00::1], bootParameters: [' a', \"\\n\"]}"},
		{"a router MAC with a plain bridge, the guest's own", "bridge: {routerMac: '02:00:00:00:00:01'}, macAddress: '02:00:00:00:00:01'"},
		{"every field", "bridge: {delegateIp: false}, macAddress: 0200.0000.0001, pciAddress: '0000:01:00.0', state: down, tag: 'yes', " +
			"ports: [{port: 80}, {name: dns, port: 53, protocol: UDP}], dhcpOptions: {bootFileName: b, tftpServerName: t, " +
			"ntpServers: [10.0.0.1], privateOptions: [{option: 240, value: '1e3'}]}"},
	}
}

// documentSeeds returns whole documents, with the case that they exercise.
func documentSeeds() []struct{ name, document string } {
	return []struct{ name, document string }{
		{"empty", ""},
		{"comments only", "# nothing\n---\n"},
		{"not UTF-8", "kind: \xff"},
		{"a list", "[1]"},
		{"a string", "VM"},
		{"truncated", "kind: [VM"},
		{"two JSON objects", "{}{}"},
		{"duplicate keys", "kind: Pod\nspec: {hostname: a, hostname: b}\nkind: VM\n"},
		{"another kind", "kind: VirtualMachinePool"},
		{"a number for the kind", "kind: 1"},
		{"unknown fields", "kind: VM\nspce: {}\ndevices: {}\ndata: {}"},
		{"a string for the spec", "spec: x"},
		{"misspelt containers", "spec: {device: {}, network: [], Template: {}, interfaces: []}"},
		{"misspelt containers below them", "spec: {devices: {interface: []}, domain: {device: {}, devices: {Interfaces: [], networks: []}}}"},
		{"containers of the wrong type", "spec: {devices: [], domain: x, networks: {}}"},
		{"a template of the wrong type", "spec: {template: [], devices: {}}"},
		{"fields beside and in a template", "kind: VirtualMachine\nspec: {networks: [{name: a, pod: {}}], template: {domain: {}, spec: {devices: {}, domian: {}}}}"},
		{"interfaces in two places", "spec: {devices: {interfaces: [{name: a, bridge: {}}]}, domain: {devices: {interfaces: [{name: a}]}}, networks: [{name: a, pod: {}}]}"},
		{"no pod network requested", "kind: VirtualMachineInstance\nspec: {domain: {devices: {autoattachPodInterface: false}}}"},
		{"no pod network requested, beside a domain", "kind: VM\nspec: {domain: {}, devices: {autoattachPodInterface: false}}"},
		{"a string for a boolean", "spec: {devices: {autoattachPodInterface: 'false'}}"},
		{"invalid labels", "spec: {hostname: Web_1, subdomain: -a}"},
		{"a network without an interface", "kind: VirtualMachineInstance\nspec: {networks: [{name: red, pod: {}}]}"},
		{"an interface without a network", "spec: {devices: {interfaces: [{name: red, bridge: {}}]}}"},
		{"another name", "spec: {devices: {interfaces: [{name: red, bridge: {}}]}, networks: [{name: blue, pod: {}}]}"},
		{"no names", "spec: {devices: {interfaces: [{bridge: {}}]}, networks: [{pod: {}}]}"},
		{"invalid names", "spec: {devices: {interfaces: [{name: a.b, bridge: {}}]}, networks: [{name: 1, pod: {}}]}"},
		{"two interfaces", "spec: {devices: {interfaces: [{name: a, bridge: {}}, {name: b, bridge: {}}]}, networks: [{name: a, pod: {}}, {name: b, pod: {}}]}"},
		{"two of the same name", "spec: {devices: {interfaces: [{name: a, bridge: {}}, {name: a, bridge: {}}]}, networks: [{name: a, pod: {}}, {name: a, multus: {}}]}"},
		{"invalid networks", "spec: {devices: {interfaces: [{name: a, bridge: {}}]}, networks: [{name: a}, {name: b, pod: {}, multus: {}}, {name: c, pod: x}, red]}"},
		{"lists of the wrong type", "spec: {devices: {interfaces: {name: red}}, networks: {pod: {}}}"},
		{"a network of a subnet", "spec: {devices: {interfaces: [{name: a, bridge: {}}]}, networks: [{name: a, pod: {vmNetworkCIDR: 10.0.2.0/24}}]}"},
	}
}
