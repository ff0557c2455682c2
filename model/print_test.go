package model

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarshal(t *testing.T) {
	tests := []struct{ document, want string }{
		{"kind: VM", `kind: VM
spec:
  devices:
    interfaces:
    - name: default
      model: virtio
      bridge:
        delegateIp: true
  networks:
  - name: default
    pod: {}
`},
		{inKubevirt("bridge: {delegateIp: false}, macAddress: 0200.0000.0001, bootOrder: 1, pciAddress: '0000:01:00.0', acpiIndex: 7, " +
			"state: down, tag: 'yes', ports: [{port: 80}, {name: dns, port: 53, protocol: UDP}], dhcpOptions: {bootFileName: b, " +
			"tftpServerName: t, ntpServers: [10.0.0.1], privateOptions: [{option: 240, value: '1e3'}]}"), `kind: VM
spec:
  devices:
    interfaces:
    - name: red
      model: virtio
      macAddress: "02:00:00:00:00:01"
      bridge:
        delegateIp: false
      bootOrder: 1
      pciAddress: "0000:01:00.0"
      acpiIndex: 7
      state: down
      tag: "yes"
      ports:
      - protocol: TCP
        port: 80
      - name: dns
        protocol: UDP
        port: 53
      dhcpOptions:
        bootFileName: b
        tftpServerName: t
        ntpServers:
        - 10.0.0.1
        privateOptions:
        - option: 240
          value: "1e3"
  networks:
  - name: red
    pod: {}
`},
		{inOwn("bridge: {}, dhcpOptions: {subnet: wide, clientBootFiles: [{userClass: iPXE, bootFileName: b}, {architecture: 0, bootFileName: c}], " +
			"options: [{option: 60, value: PXEClient}, {option: 150, hex: '0A:f4 0109'}]}"), `kind: VM
spec:
  devices:
    interfaces:
    - name: red
      model: virtio
      bridge:
        delegateIp: false
      dhcpOptions:
        clientBootFiles:
        - userClass: iPXE
          bootFileName: b
        - architecture: 0
          bootFileName: c
        options:
        - option: 60
          value: PXEClient
        - option: 150
          hex: 0af40109
        subnet: wide
  networks:
  - name: red
    pod: {}
`},
		{inOwn("bridge: {delegateIp: true, routerMac: '02:00:00:00:00:FE'}, dhcpOptions: {bootFileName: 'http://[fd00::8]/b', ntpServers: [10.0.0.1, fd00::1], " +
			"bootParameters: [quiet, console=ttyS0]}"), `kind: VM
spec:
  devices:
    interfaces:
    - name: red
      model: virtio
      bridge:
        delegateIp: true
        routerMac: 02:00:00:00:00:fe
      dhcpOptions:
        bootFileName: http://[fd00::8]/b
        ntpServers:
        - 10.0.0.1
        - fd00::1
        bootParameters:
        - quiet
        - console=ttyS0
  networks:
  - name: red
    pod: {}
`},
		{"spec: {hostname: 'null', subdomain: 12-3}", `kind: VM
spec:
  devices:
    interfaces:
    - name: default
      model: virtio
      bridge:
        delegateIp: true
  networks:
  - name: default
    pod: {}
  hostname: "null"
  subdomain: 12-3
`},
	}
	for _, test := range tests {
		vm, err := Parse([]byte(test.document))
		if err != nil {
			t.Fatal(err)
		}
		text, err := vm.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, string(text)); diff != "" {
			t.Errorf("%s\n-want +got:\n%s", test.document, diff)
		}
		checkRoundTrip(t, vm)
	}
}

// TestMarshalText checks text that YAML reads as another type unless it is quoted or escaped.
func TestMarshalText(t *testing.T) {
	texts := []string{"yes", "~", "null", "1_0", "0x1", "1e3", ".inf", "2020-01-01", "<<", "=", "- a", "a: b", "a #b", "#", "&a", "*a", "!a",
		"|", ">", "%a", "@", "`", "{", "]", ",", "---", "...", "'", `"`, `\`, " a", "a ", "\n", "a\n\n", " \na", "\r\n", "\t", "\x00", "\x1b",
		"\x7f", "\u0085", "\u00a0", "\u2028", "\ufeff", "\uffff", "\U0001f600"}
	for _, text := range texts {
		vm := Default()
		vm.Interface.Tag = text
		vm.Interface.DHCP.PrivateOptions = []PrivateOption{{Code: 224, Value: text}}
		checkRoundTrip(t, vm)
	}
}

// checkRoundTrip checks that vm equals the VM that Parse reads from vm's document, except for the rule.
func checkRoundTrip(t *testing.T, vm *VM) {
	t.Helper()
	text, err := vm.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("the printed document is not valid: %v\n%s", err, text)
	}
	again.Rule = vm.Rule
	if diff := cmp.Diff(vm, again, compareAddr); diff != "" {
		t.Fatalf("-parsed +printed and parsed again:\n%s\n%s", diff, text)
	}
}

// FuzzModel checks for any input that Parse returns either faults of one printable line each, or a VM that survives Marshal and
// Parse.
func FuzzModel(f *testing.F) {
	seeds := []struct{ name, document string }{
		{"the documented format", inOwn("bridge: {delegateIp: true}")},
		{"kubevirt's format", inKubevirt("bridge: {}, macAddress: '02:00:00:00:00:01', state: down")},
		{"a virtual machine", `{"kind":"VirtualMachine","spec":{"template":{"spec":{"domain":{"devices":{"interfaces":[{"name":"a","bridge":{}}]}},"networks":[{"name":"a","pod":{}}]}}}}`},
		{"strings that look like numbers", inOwn("bridge: {}, tag: '1_0', dhcpOptions: {bootFileName: '0x1', privateOptions: [{option: 224, value: '=' }]}")},
		{"strings that YAML has to escape", inOwn(`bridge: {}, tag: "\0\x7f\u0085\ufeff \n\t", dhcpOptions: {bootFileName: "\n  a\r\n"}`)},
		{"an alias for two lists", "spec: {devices: {interfaces: &a [{name: red, bridge: {}}]}, networks: *a}"},
		{"an alias inside itself", "spec: &a {devices: *a}"},
		{"a merge key", inOwn("<<: {bridge: {}}, model: e1000")},
		{"keys that are no strings", "{1: a, true: b, null: c, 1.5: d, .nan: e, spec: {~: f}}"},
		{"a key with a line break", "spec: {devices: {interfaces: [{\"a\\nb\": 1}]}}"},
		{"a binary scalar", inOwn("bridge: {}, tag: !!binary /w==")},
		{"a tag that does not fit", inOwn("bridge: {}, bootOrder: !!int \"a\\nb\"")},
		{"two documents", "kind: VM\n---\nkind: VM"},
		{"deep nesting", strings.Repeat("[", 200)},
	}
	for _, seed := range seeds {
		f.Add([]byte(seed.document))
	}
	for _, seed := range documentSeeds() {
		f.Add([]byte(seed.document))
	}
	for _, seed := range interfaceSeeds() {
		f.Add([]byte(inOwn(seed.fields)))
		f.Add([]byte(inKubevirt(seed.fields)))
	}
	documents, err := filepath.Glob("../testdata/vm/*.yaml") // valid and invalid ones
	if err != nil || len(documents) == 0 {
		f.Fatalf("no documents (%v)", err)
	}
	for _, file := range documents {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		vm, err := Parse(data)
		if err == nil {
			checkRoundTrip(t, vm)
			return
		}
		var faults Faults
		if vm != nil || !errors.As(err, &faults) || len(faults) == 0 {
			t.Fatalf("got %v and an error without faults: %v", vm, err)
		}
		for _, fault := range faults {
			if fault.Message == "" || strings.ContainsFunc(fault.String(), unprintable) {
				t.Errorf("not one printable line: %q", fault)
			}
		}
	})
}
