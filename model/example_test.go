package model_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/podswitch/podswitch/model"
)

// A document in podswitch's own format. The result has the connection method and the rule that selected it.
func ExampleParse() {
	vm, err := model.Parse([]byte(`
kind: VM
spec:
  devices:
    interfaces:
    - name: red
      model: e1000
      bridge:
        delegateIp: true
  networks:
  - name: red
    pod: {}
`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(vm.Interface.Name, vm.Interface.Model, vm.Interface.Method)
	fmt.Println(vm.Rule)
	// Output:
	// red e1000 bridge.delegateIp
	// spec.devices: delegateIp: true moves the pod address to the guest
}

// A document in the format of KubeVirt, where "bridge: {}" delegates the pod address.
func ExampleParse_kubeVirt() {
	vm, err := model.Parse([]byte(`
kind: VirtualMachineInstance
spec:
  domain:
    devices:
      interfaces:
      - {name: red, bridge: {}}
  networks:
  - {name: red, pod: {}}
`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(vm.Interface.Method)
	fmt.Println(vm.Rule)
	// Output:
	// bridge.delegateIp
	// spec.domain.devices: bridge means delegateIp, as KubeVirt does
}

// The error of Parse contains every fault of the document, each with the path of its field.
func ExampleFaults() {
	_, err := model.Parse([]byte(`
kind: VM
spec:
  devices:
    interfaces:
    - {name: red, bridge: {}, acpiIndex: 20000, modle: virtio}
  networks:
  - {name: red, pod: {}}
`))
	var faults model.Faults
	if errors.As(err, &faults) {
		for _, fault := range faults {
			fmt.Println("field:  ", fault.Field)
			fmt.Println("message:", fault.Message)
		}
	}
	// Output:
	// field:   spec.devices.interfaces[0].modle
	// message: unknown field; did you mean "model"?
	// field:   spec.devices.interfaces[0].acpiIndex
	// message: must be from 1 to 16383
}

// The document of the default connection, with every default written out.
func ExampleVM_Marshal() {
	text, err := model.Default().Marshal()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(text))
	// Output:
	// kind: VM
	// spec:
	//   devices:
	//     interfaces:
	//     - name: default
	//       model: virtio
	//       bridge:
	//         delegateIp: true
	//   networks:
	//   - name: default
	//     pod: {}
}
