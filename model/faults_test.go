package model

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// at is the path of the interface in a document of inOwn.
const at = "spec.devices.interfaces[0]"

// TestInterfaceFaults checks the exact text of every fault of an interface.
func TestInterfaceFaults(t *testing.T) {
	const method = ` logical red interface must have exactly one binding method or binding plugin; use "bridge: {delegateIp: true}"`
	tests := []struct {
		fields string
		want   []string
	}{
		{"bridge: {}, model: vmxnet3", []string{".model: interface " + at + ".name uses model vmxnet3 that is not supported. " +
			"Supported models: virtio, e1000, e1000e, igb, ne2k_pci, pcnet, rtl8139"}},
		{"bridge: {}, model: 1000", []string{".model: must be a string, not a number; put it in quotes"}},
		{"bridge: {}, macAddress: nonsense", []string{".macAddress: interface " + at + ".name has malformed MAC address (nonsense). " +
			"Write 6 bytes with an even first one, as in 02:00:00:00:00:01"}},
		{"bridge: {}, macAddress: '02:00:00:00:00:00:00:01'", []string{".macAddress: interface " + at + ".name has too long MAC address " +
			"(02:00:00:00:00:00:00:01). Write 6 bytes with an even first one, as in 02:00:00:00:00:01"}},
		{"bridge: {}, macAddress: '01:00:5e:00:00:01'", []string{".macAddress: interface " + at + ".name has multicast MAC address " +
			"(01:00:5e:00:00:01). Write 6 bytes with an even first one, as in 02:00:00:00:00:01"}},
		{"bridge: {}, macAddress: '00:00:00:00:00:00'", []string{".macAddress: interface " + at + ".name has all-zero MAC address " +
			"(00:00:00:00:00:00). Write 6 bytes with an even first one, as in 02:00:00:00:00:01"}},
		{"bridge: {}, pciAddress: '0000:02:00.8'", []string{".pciAddress: interface " + at + ".name has malformed PCI address " +
			"(0000:02:00.8). Write domain:bus:slot.function with a slot of at most 1f, as in 0000:02:00.0"}},
		{"bridge: {}, pciAddress: '0000:02:20.0'", []string{".pciAddress: interface " + at + ".name has malformed PCI address " +
			"(0000:02:20.0). Write domain:bus:slot.function with a slot of at most 1f, as in 0000:02:00.0"}},
		{"bridge: {}, pciAddress: '0000:02:ff.0'", []string{".pciAddress: interface " + at + ".name has malformed PCI address " +
			"(0000:02:ff.0). Write domain:bus:slot.function with a slot of at most 1f, as in 0000:02:00.0"}},
		{"bridge: {}, bootOrder: 0", []string{".bootOrder: " + at + " must have a boot order > 0, if supplied"}},
		{"bridge: {}, bootOrder: -1", []string{".bootOrder: " + at + " must have a boot order > 0, if supplied"}},
		{"bridge: {}, model: igb, bootOrder: 1", []string{".bootOrder: interface " + at + ".name uses model igb, which has no boot ROM. " +
			"Leave bootOrder out, or use another model"}},
		{"bridge: {}, bootOrder: '1'", []string{".bootOrder: must be a whole number, not a string"}},
		{"bridge: {}, bootOrder: 1.5", []string{".bootOrder: must be a whole number, not a number with a fraction or exponent"}},
		{"bridge: {}, bootOrder: 18446744073709551615", []string{".bootOrder: is too large: the largest whole number is 9223372036854775807"}},
		{"bridge: {}, acpiIndex: 16384", []string{".acpiIndex: must be from 1 to 16383"}},
		{"bridge: {}, acpiIndex: -1", []string{".acpiIndex: must be from 1 to 16383"}},
		{"bridge: {}, state: \"a\\nb\"", []string{`.state: logical red interface state value is unsupported: "a\nb". Supported states: up, down`}},
		{"bridge: {}, state: absent", []string{`.state: "red" interface's state "absent" is not supported on default networks. Supported states: up, down`}},
		{"bridge: {}, tag: [a]", []string{".tag: must be a string, not a list"}},

		{"bridge: true", []string{".bridge: must be an object, not a boolean"}},
		{"bridge: {delegateIp: 'true'}", []string{".bridge.delegateIp: must be true or false, not a string"}},
		{"bridge: {delegateIp: }", []string{".bridge.delegateIp: must be true or false, not null"}},
		{"bridge: {delegateIp: true, routerMac: nonsense}", []string{".bridge.routerMac: has malformed MAC address (nonsense). " +
			"Write 6 bytes with an even first one, as in 02:00:00:00:00:01"}},
		{"bridge: {delegateIp: true, routerMac: '33:33:00:00:00:01'}", []string{".bridge.routerMac: has multicast MAC address (33:33:00:00:00:01). " +
			"Write 6 bytes with an even first one, as in 02:00:00:00:00:01"}},
		{"bridge: {delegateIp: true, routerMac: 5}", []string{".bridge.routerMac: must be a string, not a number; put it in quotes"}},
		{"bridge: {routerMac: '02:00:00:00:00:01'}", []string{".bridge.routerMac: needs delegateIp: true; with a plain Ethernet bridge the guest sees the MAC of every host"}},
		{"bridge: {delegateIp: true, routerMac: '02:00:00:00:00:01'}, macAddress: '02-00-00-00-00-01'", []string{
			".bridge.routerMac: is also the guest's macAddress; use another one"}},
		{"bridge: {delegateIp: true, routerMAC: x}", []string{`.bridge.routerMAC: unknown field; did you mean "routerMac"?`}},
		{"bridge: {delegateIP: true}", []string{`.bridge.delegateIP: unknown field; did you mean "delegateIp"?`}},
		{"model: virtio", []string{":" + method}},
		{"masquerade: {}", []string{`.masquerade: masquerade is not supported: bridge is the only method; use "bridge: {delegateIp: true}"`}},
		{"sriov: ", []string{`.sriov: sriov is not supported: bridge is the only method; use "bridge: {delegateIp: true}"`}},
		{"passtBinding: {}", []string{`.passtBinding: passtBinding is not supported: bridge is the only method; use "bridge: {delegateIp: true}"`}},
		{"binding: {name: other}", []string{`.binding: binding is not supported: bridge is the only method; use "bridge: {delegateIp: true}"`}},
		{"slirp: {}", []string{`.slirp: Slirp interface support has been discontinued since v1.3; use "bridge: {delegateIp: true}"`}},
		{"passt: {}", []string{`.passt: Passt network binding has been discontinued since v1.3; use "bridge: {delegateIp: true}"`}},
		{"macvtap: {}", []string{`.macvtap: Macvtap network binding has been discontinued since v1.3; use "bridge: {delegateIp: true}"`}},
		{"bridge: {}, masquerade: {}", []string{
			`.masquerade: masquerade is not supported: bridge is the only method; use "bridge: {delegateIp: true}"`, ":" + method}},

		{"bridge: {}, modle: virtio", []string{`.modle: unknown field; did you mean "model"?`}},
		{"bridge: {}, dhcp: x", []string{`.dhcp: unknown field; did you mean "dhcpOptions"?`}},
		{"bridge: {}, networks: []", []string{`.networks: does not belong here; networks go to spec.networks or spec.template.spec.networks`}},
		{"bridge: {}, 'a b': x", []string{`["a b"]: unknown field; known here: name, model, macAddress, bridge, masquerade, sriov, passtBinding, slirp, ` +
			`macvtap, passt, binding, ports, portRanges, bootOrder, pciAddress, acpiIndex, dhcpOptions, state, tag`}},

		{"bridge: {}, portRanges: [{start: 1, end: 2}]", []string{
			".portRanges: portRanges are only supported on masquerade interfaces; leave them out: bridge passes every port"}},
		{"bridge: {}, ports: 80", []string{".ports: must be a list, not a number"}},
		{"bridge: {}, ports: [80]", []string{".ports[0]: must be an object, not a number"}},
		{"bridge: {}, ports: [{name: a}, {port: 0}, {port: 65536}, {port: -1}, {port: '80'}]", []string{
			".ports[0].port: Port field is mandatory. Give a number from 1 to 65535",
			".ports[1].port: Port field is mandatory. Give a number from 1 to 65535",
			".ports[2].port: Port field must be in range 0 < x < 65536.",
			".ports[3].port: Port field must be in range 0 < x < 65536.",
			".ports[4].port: must be a whole number, not a string"}},
		{"bridge: {}, ports: [{name: a, port: 1}, {name: a, port: 2}, {name: A, port: 3}, {name: abcdefghijklmnop, port: 4}, {name: '80', port: 5}]", []string{
			".ports[1].name: Duplicate name of the port: a. Give every port its own name",
			".ports[2].name: Invalid name of the port: A. Use at most 15 lower-case letters, digits and single dashes between them, with one letter at least",
			".ports[3].name: Invalid name of the port: abcdefghijklmnop. Use at most 15 lower-case letters, digits and single dashes between them, with one letter at least",
			".ports[4].name: Invalid name of the port: 80. Use at most 15 lower-case letters, digits and single dashes between them, with one letter at least"}},
		{"bridge: {}, ports: [{port: 1, protocol: tcp, prot: x}]", []string{
			`.ports[0].prot: unknown field; did you mean "port"?`,
			".ports[0].protocol: Unknown protocol, only TCP or UDP allowed"}},

		{"bridge: {}, dhcpOptions: []", []string{".dhcpOptions: must be an object, not a list"}},
		{"bridge: {}, dhcpOptions: {bootFile: x}", []string{`.dhcpOptions.bootFile: unknown field; did you mean "bootFileName"?`}},
		{"bridge: {}, dhcpOptions: {clientBootFiles: [{bootFileName: a}, {userClass: x}, {architecture: 65536, bootFileName: a}, {arch: 7, bootFileName: 5}]}", []string{
			".dhcpOptions.clientBootFiles[0]: must have a userClass or an architecture; for all other clients, use dhcpOptions.bootFileName",
			".dhcpOptions.clientBootFiles[1].bootFileName: must be given: the file for these clients",
			".dhcpOptions.clientBootFiles[2].architecture: want 0 to 65535, as in option 93 of the client",
			`.dhcpOptions.clientBootFiles[3].arch: unknown field; did you mean "architecture"?`,
			".dhcpOptions.clientBootFiles[3].bootFileName: must be a string, not a number; put it in quotes",
			".dhcpOptions.clientBootFiles[3]: must have a userClass or an architecture; for all other clients, use dhcpOptions.bootFileName"}},
		{"bridge: {}, dhcpOptions: {options: [{option: 66, value: a}, {option: 3, hex: '00'}, {option: 52, hex: '01'}, {option: 224, value: a}, {option: 255, value: a}, " +
			"{value: a}, {option: 60, value: a, hex: '00'}, {option: 60, hex: 0x}]}", []string{
			".dhcpOptions.options[0].option: use dhcpOptions.tftpServerName for option 66",
			".dhcpOptions.options[1].option: option 3 follows from the pod's network",
			".dhcpOptions.options[2].option: option 52 belongs to the protocol, or only clients send it",
			".dhcpOptions.options[3].option: use dhcpOptions.privateOptions for the options 224 to 254",
			".dhcpOptions.options[4].option: want the number of a DHCP option, 1 to 254",
			".dhcpOptions.options[5].option: want the number of a DHCP option, 1 to 254",
			".dhcpOptions.options[6]: must have either value, a text, or hex, bytes in hexadecimal",
			".dhcpOptions.options[7].option: duplicate; keep one with option 60",
			".dhcpOptions.options[7].hex: want bytes in hexadecimal, as in 0af40109, not 0x"}},
		{"bridge: {}, dhcpOptions: {ntpServers: [fd00::1, '::1', 'ff02::1', '::ffff:10.0.0.1', 'fd00::1%eth0']}", []string{
			".dhcpOptions.ntpServers[1]: NTP servers must be a list of valid IPv4 addresses, or of IPv6 addresses that are not link-local. ::1 is neither",
			".dhcpOptions.ntpServers[2]: NTP servers must be a list of valid IPv4 addresses, or of IPv6 addresses that are not link-local. ff02::1 is neither",
			".dhcpOptions.ntpServers[3]: NTP servers must be a list of valid IPv4 addresses, or of IPv6 addresses that are not link-local. ::ffff:10.0.0.1 is neither",
			".dhcpOptions.ntpServers[4]: NTP servers must be a list of valid IPv4 addresses, or of IPv6 addresses that are not link-local. fd00::1%eth0 is neither"}},
		{"bridge: {}, dhcpOptions: {bootParameters: [a, '', null, 7]}", []string{
			".dhcpOptions.bootParameters[1]: must be a text that is not empty, as in console=ttyS0",
			".dhcpOptions.bootParameters[2]: must be a text that is not empty, as in console=ttyS0",
			".dhcpOptions.bootParameters[3]: must be a string, not a number; put it in quotes"}},
		{"bridge: {}, dhcpOptions: {subnet: narrow}", []string{".dhcpOptions.subnet: want wide or pod, not narrow; without it, clients that request " +
			"no routes get a subnet with the gateway in it"}},
		{"bridge: {}, dhcpOptions: {ntpServers: [10.0.0.1, 'fe80::1', pool.ntp.org, null, 7]}", []string{
			".dhcpOptions.ntpServers[1]: NTP servers must be a list of valid IPv4 addresses, or of IPv6 addresses that are not link-local. fe80::1 is neither",
			".dhcpOptions.ntpServers[2]: NTP servers must be a list of valid IPv4 addresses, or of IPv6 addresses that are not link-local. pool.ntp.org is neither",
			`.dhcpOptions.ntpServers[3]: NTP servers must be a list of valid IPv4 addresses, or of IPv6 addresses that are not link-local. "" is neither`,
			".dhcpOptions.ntpServers[4]: must be a string, not a number; put it in quotes"}},
		{"bridge: {}, dhcpOptions: {privateOptions: [{option: 223, value: a}, {option: 255}, {value: b}, {option: 224, value: 5}, {option: 224}, {code: 224, option: 225}]}", []string{
			".dhcpOptions.privateOptions[0].option: provided DHCPPrivateOptions are out of range, must be in range 224 to 254",
			".dhcpOptions.privateOptions[1].option: provided DHCPPrivateOptions are out of range, must be in range 224 to 254",
			".dhcpOptions.privateOptions[2].option: provided DHCPPrivateOptions are out of range, must be in range 224 to 254",
			".dhcpOptions.privateOptions[3].value: must be a string, not a number; put it in quotes",
			".dhcpOptions.privateOptions[4].option: Found Duplicates: you have provided duplicate DHCPPrivateOptions; keep one with option 224",
			".dhcpOptions.privateOptions[5].code: unknown field; known here: option, value"}},
	}
	for _, test := range tests {
		t.Run(test.fields, func(t *testing.T) {
			for i := range test.want {
				test.want[i] = at + test.want[i]
			}
			checkFaults(t, inOwn(test.fields), test.want)
		})
	}
}

// TestDocumentFaults checks the exact text of the faults outside of a single interface.
func TestDocumentFaults(t *testing.T) {
	tests := []struct {
		name, document string
		want           []string
	}{
		{"empty", "", []string{`the document is empty; write at least "kind: VM", which gives the default connection`}},
		{"comments only", "# nothing\n---\n", []string{`the document is empty; write at least "kind: VM", which gives the default connection`}},
		{"not UTF-8", "kind: \xff", []string{"the document is not UTF-8 text; save it as UTF-8"}},
		{"too large", strings.Repeat("#", maxSize+1), []string{"the document has 2097153 bytes; the limit is 2097152"}},
		{"a list", "[1]", []string{`the document must be an object, as in "kind: VM", not a list`}},
		{"a string", "VM", []string{`the document must be an object, as in "kind: VM", not a string`}},
		{"syntax", "kind: [VM", []string{"the document is neither YAML nor JSON: line 1: did not find expected ',' or ']'"}},
		{"two documents", "kind: VM\n---\nkind: VM\n", []string{`there is more than one YAML document; keep one VM, without "---" and what follows it`}},
		{"two JSON objects", `{"kind": "VM"} {"kind": "VM"}`, []string{"the document is neither YAML nor JSON: did not find expected <document start>"}},
		{"keys twice", "kind: Pod\nspec: {hostname: a, hostname: b}\nkind: VM\n", []string{
			`line 2: key "hostname" already set in map; keep one of them`,
			`line 3: key "kind" already set in map; keep one of them`,
			"kind: Pod is not a kind of VM; supported kinds: VM, VirtualMachine, VirtualMachineInstance"}},
		{"kind", "kind: VirtualMachinePool", []string{
			"kind: VirtualMachinePool is not a kind of VM; supported kinds: VM, VirtualMachine, VirtualMachineInstance"}},
		{"kind is a number", "kind: 1", []string{"kind: must be a string, not a number; put it in quotes"}},
		{"top", "kind: VM\nspce: {}\ndevices: {}\ndata: {}", []string{
			"data: unknown field; known here: apiVersion, kind, metadata, spec, status",
			"devices: does not belong here; devices go to spec.devices, spec.domain.devices or spec.template.spec.domain.devices",
			`spce: unknown field; did you mean "spec"?`}},
		{"spec", "spec: x", []string{"spec: must be an object, not a string"}},
		{"near containers", "spec: {device: {}, network: [], Template: {}, interfaces: []}", []string{
			`spec.Template: unknown field; did you mean "template"?`,
			`spec.device: unknown field; did you mean "devices"?`,
			"spec.interfaces: does not belong here; interfaces go to spec.devices.interfaces, spec.domain.devices.interfaces " +
				"or spec.template.spec.domain.devices.interfaces",
			`spec.network: unknown field; did you mean "networks"?`}},
		{"near interfaces", "spec: {devices: {interface: []}, domain: {device: {}, devices: {Interfaces: [], networks: []}}}", []string{
			`spec.devices.interface: unknown field; did you mean "interfaces"?`,
			`spec.domain.device: unknown field; did you mean "devices"?`,
			`spec.domain.devices.Interfaces: unknown field; did you mean "interfaces"?`,
			"spec.domain.devices.networks: does not belong here; networks go to spec.networks or spec.template.spec.networks"}},
		{"containers of the wrong type", "spec: {devices: [], domain: x, networks: {}}", []string{
			"spec.devices: must be an object, not a list",
			"spec.domain: must be an object, not a string",
			"spec.networks: must be a list, not an object"}},
		{"template", "kind: VirtualMachine\nspec: {networks: [{name: a, pod: {}}], template: {domain: {}, spec: {devices: {}, domian: {}}}}", []string{
			"spec.template.domain: does not belong here; the domain goes to spec.domain or spec.template.spec.domain",
			"spec.template.spec.devices: does not belong here; devices go to spec.devices, spec.domain.devices or spec.template.spec.domain.devices",
			`spec.template.spec.domian: unknown field; did you mean "domain"?`,
			"spec.networks: does not belong beside spec.template; move it to spec.template.spec.networks"}},
		{"template of the wrong type", "spec: {template: [], devices: {}}", []string{
			"spec.template: must be an object, not a list",
			"spec.devices: does not belong beside spec.template; move it to spec.template.spec.domain.devices"}},
		{"two places", "spec: {devices: {interfaces: [{name: a, bridge: {}}]}, domain: {devices: {interfaces: [{name: a}]}}, networks: [{name: a, pod: {}}]}", []string{
			"spec.domain.devices.interfaces: interfaces are also given at spec.devices.interfaces; keep one of the two lists",
			`spec.domain.devices.interfaces[0]: logical a interface must have exactly one binding method or binding plugin; use "bridge: {}"`}},
		{"autoattach", "kind: VirtualMachineInstance\nspec: {domain: {devices: {autoattachPodInterface: false}}}", []string{
			"spec.domain.devices.autoattachPodInterface: false leaves the guest without an interface, and exactly one is supported; " +
				"set it to true, or add one to spec.domain.devices.interfaces"}},
		{"autoattach in the format that is not the kind's", "kind: VirtualMachineInstance\nspec: {devices: {autoattachPodInterface: false}}", []string{
			"spec.devices.autoattachPodInterface: false leaves the guest without an interface, and exactly one is supported; " +
				"set it to true, or add one to spec.domain.devices.interfaces"}},
		{"autoattach beside a domain", "kind: VM\nspec: {domain: {}, devices: {autoattachPodInterface: false}}", []string{
			"spec.devices.autoattachPodInterface: false leaves the guest without an interface, and exactly one is supported; " +
				"set it to true, or add one to spec.domain.devices.interfaces"}},
		{"autoattach said in both formats", "spec: {domain: {devices: {autoattachPodInterface: true}}, devices: {autoattachPodInterface: false}}", []string{
			"spec.devices.autoattachPodInterface: false leaves the guest without an interface, and exactly one is supported; " +
				"set it to true, or add one to spec.domain.devices.interfaces"}},
		{"autoattach beside a domain is a string", "spec: {domain: {}, devices: {autoattachPodInterface: 'false'}}", []string{
			"spec.devices.autoattachPodInterface: must be true or false, not a string"}},
		{"autoattach is a string", "spec: {devices: {autoattachPodInterface: 'false'}}", []string{
			"spec.devices.autoattachPodInterface: must be true or false, not a string"}},
		{"labels", "spec: {hostname: Web_1, subdomain: -a}", []string{
			"spec.hostname: Web_1 is not a DNS label: use at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends",
			"spec.subdomain: -a is not a DNS label: use at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { checkFaults(t, test.document, test.want) })
	}
}

// TestOwnOptionsInKubeVirt: a field that KubeVirt does not have is a fault in its formats.
func TestOwnOptionsInKubeVirt(t *testing.T) {
	checkFaults(t, inKubevirt("bridge: {routerMac: '02:00:00:00:00:01'}, dhcpOptions: {ntpServers: [fd00::1], bootParameters: [a]}"), []string{
		"spec.domain.devices.interfaces[0].bridge.routerMac: is not a field of KubeVirt; use podswitch's own format (interfaces in spec.devices.interfaces)",
		"spec.domain.devices.interfaces[0].dhcpOptions.bootParameters: is not a field of KubeVirt; use podswitch's own format (interfaces in spec.devices.interfaces)",
		"spec.domain.devices.interfaces[0].dhcpOptions.ntpServers[0]: NTP servers must be a list of valid IPv4 addresses. fd00::1 is not one"})
	checkFaults(t, inKubevirt("bridge: {}, dhcpOptions: {subnet: wide, options: []}"), []string{
		"spec.domain.devices.interfaces[0].dhcpOptions.options: is not a field of KubeVirt; use podswitch's own format (interfaces in spec.devices.interfaces)",
		"spec.domain.devices.interfaces[0].dhcpOptions.subnet: is not a field of KubeVirt; use podswitch's own format (interfaces in spec.devices.interfaces)"})
}

// TestConnectionFaults checks the exact text of the faults that concern interfaces and networks together.
func TestConnectionFaults(t *testing.T) {
	own := func(interfaces, networks string) string {
		return "spec: {devices: {interfaces: [" + interfaces + "]}, networks: [" + networks + "]}"
	}
	const notFound = "spec.devices.interfaces[0].name: spec.devices.interfaces[0].name 'red' not found. " +
		"Add a network of the same name to spec.networks: {name: red, pod: {}}"
	tests := []struct {
		name, document string
		want           []string
	}{
		{"no networks", own("{name: red, bridge: {}}", ""), []string{notFound}},
		{"other name", own("{name: red, bridge: {}}", "{name: blue, pod: {}}"), []string{notFound,
			"spec.networks[0].name: spec.networks[0].name 'blue' not found. Add an interface of the same name to spec.devices.interfaces: " +
				"{name: blue, bridge: {delegateIp: true}}, or remove this network"}},
		{"no interfaces, kubevirt", "kind: VirtualMachineInstance\nspec: {networks: [{name: red, pod: {}}]}", []string{
			"spec.networks[0].name: spec.networks[0].name 'red' not found. Add an interface of the same name to spec.domain.devices.interfaces: " +
				"{name: red, bridge: {}}, or remove this network"}},
		{"no names", own("{bridge: {}}", "{pod: {}}"), []string{
			"spec.devices.interfaces[0].name: must be given: the name of the network that this interface is connected to",
			"spec.networks[0].name: must be given: the name of the interface that is connected to this network"}},
		{"empty names", own("{name: '', bridge: {}}", "{name: '', pod: {}}"), []string{
			"spec.devices.interfaces[0].name: must be given: the name of the network that this interface is connected to",
			"spec.networks[0].name: must be given: the name of the interface that is connected to this network"}},
		{"bad name", own("{name: a.b, bridge: {}}", "{name: a.b, pod: {}}"), []string{
			"spec.devices.interfaces[0].name: Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores (_)"}},
		{"names of the wrong type", own("{name: 1, bridge: {}}", "{name: 1, pod: {}}"), []string{
			"spec.devices.interfaces[0].name: must be a string, not a number; put it in quotes",
			"spec.networks[0].name: must be a string, not a number; put it in quotes"}},
		{"two on the pod network", own("{name: a, bridge: {}}, {name: b, bridge: {}}", "{name: a, pod: {}}, {name: b, pod: {}}"), []string{
			"spec.devices.interfaces: more than one interface is connected to a pod network in spec.interfaces; keep one of the 2"}},
		{"a second elsewhere", own("{name: a, bridge: {}}, {name: b, bridge: {}}", "{name: a, pod: {}}, {name: b, multus: {networkName: x}}"), []string{
			`spec.networks[1].multus: multus is not supported: the pod network is the only backend; use "pod: {}"`,
			"spec.devices.interfaces: there are 2 interfaces, and exactly one is supported; keep the one on the pod network"}},
		{"same names", own("{name: a, bridge: {}}, {name: a, bridge: {}}", "{name: a, pod: {}}, {name: a, pod: {}}"), []string{
			"spec.devices.interfaces: more than one interface is connected to a pod network in spec.interfaces; keep one of the 2",
			"spec.devices.interfaces[1].name: Only one interface can be connected to one specific network; give every interface its own name",
			`spec.networks[1].name: Network with name "a" already exists, every network must have a unique name`}},
		{"backends", own("{name: a, bridge: {}}", "{name: a, resourceClaim: {}}"), []string{
			`spec.networks[0].resourceClaim: resourceClaim is not supported: the pod network is the only backend; use "pod: {}"`}},
		{"no backend", own("{name: a, bridge: {}}", "{name: a}"), []string{`spec.networks[0]: should have a network type; add "pod: {}"`}},
		{"two backends", own("{name: a, bridge: {}}", "{name: a, pod: {}, multus: {}}"), []string{
			`spec.networks[0].multus: multus is not supported: the pod network is the only backend; use "pod: {}"`,
			`spec.networks[0]: should have only one network type; keep "pod: {}"`}},
		{"pod", own("{name: a, bridge: {}}", "{name: a, pod: {vmNetworkCIDR: 10.0.2.0/24, cidr: x}, pods: {}}"), []string{
			`spec.networks[0].pods: unknown field; did you mean "pod"?`,
			"spec.networks[0].pod.cidr: unknown field; known here: vmNetworkCIDR, vmIPv6NetworkCIDR",
			"spec.networks[0].pod.vmNetworkCIDR: vmNetworkCIDR is for masquerade interfaces only; leave it out: under bridge the network is the pod's own"}},
		{"pod of the wrong type", own("{name: a, bridge: {}}", "{name: a, pod: true}"), []string{"spec.networks[0].pod: must be an object, not a boolean"}},
		{"entries of the wrong type", own("red", "red"), []string{
			"spec.devices.interfaces[0]: must be an object, not a string", "spec.networks[0]: must be an object, not a string"}},
		{"lists of the wrong type", "spec: {devices: {interfaces: {name: red}}, networks: [{name: red, pod: {}}]}", []string{
			"spec.devices.interfaces: must be a list, not an object"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { checkFaults(t, test.document, test.want) })
	}
}

// checkFaults checks that a document has exactly the faults want, one a line.
func checkFaults(t *testing.T, document string, want []string) {
	t.Helper()
	vm, err := Parse([]byte(document))
	if err == nil {
		t.Fatalf("%s\nis valid: %+v", document, vm)
	}
	if vm != nil {
		t.Errorf("a VM came with the error: %+v", vm)
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("%s\n-want +got:\n%s", document, diff)
	}
}
