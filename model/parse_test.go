package model

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// compareAddr lets cmp compare a type without exported fields.
var compareAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// inOwn and inKubevirt return a valid document in which an interface has the given fields, in flow style.
func inOwn(fields string) string {
	return "kind: VM\nspec: {devices: {interfaces: [{name: red, " + fields + "}]}, networks: [{name: red, pod: {}}]}\n"
}

func inKubevirt(fields string) string {
	return "kind: VirtualMachineInstance\nspec: {domain: {devices: {interfaces: [{name: red, " + fields +
		"}]}}, networks: [{name: red, pod: {}}]}\n"
}

// TestParseTheDocumentedShape parses the example of the VM document's own documentation, verbatim.
func TestParseTheDocumentedShape(t *testing.T) {
	vm, err := Parse([]byte(`kind: VM
spec:
  devices:
    interfaces:
      - name: red
        bridge: ## Define how the interface is connected to a network
          delegateIp: true # offers the ip in case that the source has an ip
  networks:
  - name: red
    pod: {} # Stock pod network
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &VM{
		Interface: Interface{Name: "red", Model: Virtio, Method: DelegateIP, State: Up},
		Rule:      "spec.devices: delegateIp: true moves the pod address to the guest",
	}
	if diff := cmp.Diff(want, vm, compareAddr); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseEveryField(t *testing.T) {
	vm, err := Parse([]byte(`
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: web, labels: {devices: many}}
spec:
  running: true
  template:
    metadata: {labels: {app: web}}
    spec:
      hostname: web-1
      subdomain: shop
      domain:
        devices:
          interfaces:
          - name: Red_1
            model: e1000e
            macAddress: 02-00-00-AA-bb-01
            bridge:
            bootOrder: 2
            pciAddress: 0000:02:1F.7
            acpiIndex: 101
            state: down
            tag: front
            ports: [{name: http, port: 80}, {protocol: UDP, port: 65535}]
            portRanges: []
            dhcpOptions:
              bootFileName: pxelinux.0
              tftpServerName: tftp.example.com
              ntpServers: [10.0.0.1, 10.0.0.2]
              privateOptions: [{option: 254, value: "z"}, {option: 224, value: "a b"}]
      networks:
      - name: Red_1
        pod:
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &VM{
		Interface: Interface{
			Name: "Red_1", Model: E1000e, MAC: net.HardwareAddr{2, 0, 0, 0xaa, 0xbb, 1}, Method: DelegateIP,
			BootOrder: 2, PCIAddress: "0000:02:1F.7", ACPIIndex: 101, State: Down, Tag: "front",
			Ports: []Port{{Name: "http", Protocol: "TCP", Number: 80}, {Protocol: "UDP", Number: 65535}},
			DHCP: DHCPOptions{
				BootFileName: "pxelinux.0", TFTPServerName: "tftp.example.com",
				NTPServers:     []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")},
				PrivateOptions: []PrivateOption{{Code: 254, Value: "z"}, {Code: 224, Value: "a b"}},
			},
		},
		Hostname:  "web-1",
		Subdomain: "shop",
		Rule:      "spec.template.spec.domain.devices: bridge means delegateIp, as KubeVirt does",
	}
	if diff := cmp.Diff(want, vm, compareAddr); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestMethod checks which rule selects the method in each format.
func TestMethod(t *testing.T) {
	inTemplate := func(fields string) string {
		return `{"kind": "VirtualMachine", "spec": {"template": {"spec": {"domain": {"devices": {"interfaces": [{name: red, ` +
			fields + `}]}}, "networks": [{"name": "red", "pod": null}]}}}}`
	}
	tests := []struct {
		name, document string
		method         Method
		rule           string
	}{
		{"own, empty", inOwn("bridge: {}"), Bridge, "spec.devices: delegateIp absent means a plain Ethernet bridge"},
		{"own, null", inOwn("bridge: null"), Bridge, "spec.devices: delegateIp absent means a plain Ethernet bridge"},
		{"own, true", inOwn("bridge: {delegateIp: true}"), DelegateIP, "spec.devices: delegateIp: true moves the pod address to the guest"},
		{"own, false", inOwn("bridge: {delegateIp: false}"), Bridge, "spec.devices: delegateIp: false means a plain Ethernet bridge"},
		{"kubevirt, empty", inKubevirt("bridge: {}"), DelegateIP, "spec.domain.devices: bridge means delegateIp, as KubeVirt does"},
		{"kubevirt, null", inKubevirt("bridge: "), DelegateIP, "spec.domain.devices: bridge means delegateIp, as KubeVirt does"},
		{"kubevirt, true", inKubevirt("bridge: {delegateIp: true}"), DelegateIP, "spec.domain.devices: delegateIp: true moves the pod address to the guest"},
		{"kubevirt, false", inKubevirt("bridge: {delegateIp: false}"), Bridge, "spec.domain.devices: delegateIp: false means a plain Ethernet bridge"},
		{"kubevirt, kind VM", strings.Replace(inKubevirt("bridge: {}"), "VirtualMachineInstance", "VM", 1), DelegateIP, "spec.domain.devices: bridge means delegateIp, as KubeVirt does"},
		{"kubevirt, no kind", strings.TrimPrefix(inKubevirt("bridge: {}"), "kind: VirtualMachineInstance\n"), DelegateIP, "spec.domain.devices: bridge means delegateIp, as KubeVirt does"},
		{"template, empty", inTemplate("bridge: {}"), DelegateIP, "spec.template.spec.domain.devices: bridge means delegateIp, as KubeVirt does"},
		{"template, false", inTemplate("bridge: {delegateIp: false}"), Bridge, "spec.template.spec.domain.devices: delegateIp: false means a plain Ethernet bridge"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			vm, err := Parse([]byte(test.document))
			if err != nil {
				t.Fatal(err)
			}
			if vm.Interface.Method != test.method || vm.Rule != test.rule {
				t.Errorf("got %s by %q, want %s by %q", vm.Interface.Method, vm.Rule, test.method, test.rule)
			}
		})
	}
}

// TestDefault checks every form of a document without interfaces and networks.
func TestDefault(t *testing.T) {
	documents := []string{
		"kind: VM",
		"{}",
		`{"kind": "VM", "spec": null}`,
		"spec: {}",
		"--- # a comment\nkind: VM\n...\n---\n# and nothing else\n",
		"kind: VM\nspec: {devices: }",
		"kind: VM\nspec: {devices: {interfaces: []}, networks: []}",
		"kind: VM\nspec: {devices: {disks: [{name: root}]}}",
		"kind: VirtualMachineInstance\nspec: {domain: {cpu: {cores: 2}, devices: {autoattachPodInterface: true}}}",
		"kind: VM\nspec: {domain: {}, devices: {autoattachPodInterface: true}}",
		"kind: VirtualMachine\nspec: {runStrategy: Always, template: {spec: {domain: {devices: {interfaces: null}}}}}",
		"kind: VirtualMachine\nspec: {template: {}}",
	}
	for _, document := range documents {
		vm, err := Parse([]byte(document))
		if err != nil {
			t.Errorf("%s\n%v", document, err)
			continue
		}
		if diff := cmp.Diff(Default(), vm, compareAddr); diff != "" {
			t.Errorf("%s\n-want +got:\n%s", document, diff)
		}
	}
	const rule = `no interfaces and no networks: one virtio interface "default" on the pod network with delegateIp`
	if vm := Default(); vm.Interface.Name != "default" || vm.Interface.Method != DelegateIP || vm.Rule != rule {
		t.Errorf("Default() = %+v", vm)
	}
}

func TestModels(t *testing.T) {
	for _, name := range []string{"virtio", "e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139"} {
		vm, err := Parse([]byte(inOwn("bridge: {}, model: " + name)))
		if err != nil || string(vm.Interface.Model) != name {
			t.Errorf("model %s: got %+v, %v", name, vm, err)
		}
	}
}

func TestFaultsIsAnError(t *testing.T) {
	_, err := Parse([]byte(inOwn("bridge: {}, state: broken, tag: 1")))
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 2 {
		t.Fatalf("got %#v", err)
	}
	want := "spec.devices.interfaces[0].state: logical red interface state value is unsupported: broken. Supported states: up, down\n" +
		"spec.devices.interfaces[0].tag: must be a string, not a number; put it in quotes"
	if err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
}
