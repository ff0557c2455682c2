package model

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestModelAndProperty checks for every pair of a model and a property whether a document may set it, and that a fault has the
// path of the property. A document cannot set queues, MTU, offloads and ROM for any model: they follow from the model, or are
// settings of the hypervisor.
func TestModelAndProperty(t *testing.T) {
	everywhere := models()
	for _, property := range []struct {
		name, value string
		may         []Model
	}{
		{"bootOrder", "1", []Model{Virtio, E1000, E1000e, NE2kPCI, PCnet, RTL8139}},
		{"macAddress", "'02:00:00:00:00:01'", everywhere},
		{"pciAddress", "'0000:00:02.0'", everywhere},
		{"acpiIndex", "1", everywhere},
		{"state", "down", everywhere},
		{"dhcpOptions", "{bootFileName: a}", everywhere},
		{"mtu", "9000", nil},
		{"queues", "2", nil},
		{"multiqueue", "true", nil},
		{"networkInterfaceMultiqueue", "true", nil},
		{"offload", "'on'", nil},
		{"offloads", "true", nil},
		{"driver", "{queues: 2}", nil},
		{"rom", "{enabled: true}", nil},
		{"romfile", "a.rom", nil},
	} {
		for _, m := range everywhere {
			document := inOwn("bridge: {}, model: " + string(m) + ", " + property.name + ": " + property.value)
			_, err := Parse([]byte(document))
			var faults Faults
			switch may := slices.Contains(property.may, m); {
			case may && err != nil:
				t.Errorf("%s with %s: %v", m, property.name, err)
			case !may && (!errors.As(err, &faults) || len(faults) != 1 || faults[0].Field != at+"."+property.name):
				t.Errorf("%s with %s: got %v, want one fault at %s.%s", m, property.name, err, at, property.name)
			}
		}
	}
}

// TestUnknownModels checks that names similar to a model are rejected with one fault: properties that depend on the model add none.
func TestUnknownModels(t *testing.T) {
	for _, name := range []string{"vmxnet3", "e1000E", "VIRTIO", "virtio-net-pci", "ne2k", "i82559er", "'e1000 '", `"e1000\0"`} {
		_, err := Parse([]byte(inOwn("bridge: {}, bootOrder: 1, model: " + name)))
		var faults Faults
		if !errors.As(err, &faults) || len(faults) != 1 || faults[0].Field != at+".model" ||
			!strings.Contains(faults[0].Message, "Supported models: virtio, ") {
			t.Errorf("model %s: got %v, want one fault at %s.model", name, err, at)
		}
	}
}
