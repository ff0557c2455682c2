// Package model reads the VM document: which interface the guest has, and how it is connected to the pod network.
//
// # Shapes
//
// A document is YAML or JSON in one of three shapes; where the interfaces stand decides which, not the kind:
//
//	spec.devices.interfaces                        spec.networks                 the shape of podswitch
//	spec.domain.devices.interfaces                 spec.networks                 KubeVirt, VirtualMachineInstance
//	spec.template.spec.domain.devices.interfaces   spec.template.spec.networks   KubeVirt, VirtualMachine
//
// In the first shape an absent bridge.delegateIp means false; in KubeVirt's two shapes it means true, because that is
// what "bridge: {}" does there. Without interfaces and networks the guest gets what [Default] returns.
//
// # Unknown fields
//
// They are faults or legitimate by one rule with two halves:
//
//   - Closed objects are podswitch's own: interfaces[], networks[] and everything in them, the top of the document, and
//     spec.template. A field that is not known there is a fault.
//   - Open objects lead to the closed ones and belong to KubeVirt: spec, spec.devices, spec.domain, spec.domain.devices
//     and the same below spec.template. Any field may stand there (cpu, disks, volumes, ...), unless it looks like a
//     name that podswitch reads: nearly spelt (spec.network) or in the wrong place (spec.interfaces). Those are
//     faults, because ignoring them would give the guest the default connection instead of the one that was written.
//
// What lies outside of both (metadata, status, the contents of disks, ...) is not looked at.
//
// # Null and empty
//
// As in Kubernetes, null and "" mean that a field is absent, with two exceptions that the document's words suggest:
// "bridge:" and "pod:" (and the other methods and backends) are chosen by their name alone, and "delegateIp:" without a
// value is a fault, because both of its values are likely to be meant.
//
// # YAML
//
// The dialect is that of Kubernetes' clients: go.yaml.in/yaml/v2, the decoder inside sigs.k8s.io/yaml. It is used
// directly because the wrapper ignores what follows the first document, and stops at the first kind of fault.
package model

import (
	"net"
	"net/netip"
)

// A VM is a VM document with every default filled in. The zero value is not valid; start from [Default] or [Parse].
type VM struct {
	Interface Interface // the only one, on the pod network
	Hostname  string    // spec.hostname: a DNS label, or empty
	Subdomain string    // spec.subdomain: a DNS label, or empty
	Rule      string    // one sentence: which rule of the document decided the connection method; not printed by Marshal
}

// An Interface is the guest's network interface. The fields follow KubeVirt's v1.Interface.
type Interface struct {
	Name       string           // also the name of its network
	Model      Model            // what the guest sees
	MAC        net.HardwareAddr // 6 bytes, unicast; nil when the document pins none
	Method     Method           // how it is connected to the pod network
	BootOrder  uint64           // from 1; 0 when absent
	PCIAddress string           // domain:bus:slot.function in hexadecimal (0000:02:00.0), or empty
	ACPIIndex  int              // from 1 to 16383; 0 when absent
	State      State            // link state
	Tag        string           // shown to the guest by its metadata service, or empty
	Ports      []Port           // what the guest says that it listens on; nil when absent
	DHCP       DHCPOptions      // what the guest's lease says in addition
}

// A Model is the kind of network card that the hypervisor shows to the guest.
type Model string

// The models that KubeVirt accepts. Virtio is the default, and the only one with offloads.
const (
	Virtio  Model = "virtio"
	E1000   Model = "e1000"
	E1000e  Model = "e1000e"
	IGB     Model = "igb"
	NE2kPCI Model = "ne2k_pci"
	PCnet   Model = "pcnet"
	RTL8139 Model = "rtl8139"
)

// A Method is how an interface is connected to its network.
type Method uint8

// The two forms of the bridge method.
const (
	Bridge     Method = iota // an Ethernet bridge; the pod's address stays in the pod's kernel
	DelegateIP               // the pod's address moves to the guest, by DHCP
)

// String returns the method as the document's support matrix names it: bridge or bridge.delegateIp.
func (m Method) String() string {
	if m == DelegateIP {
		return "bridge.delegateIp"
	}
	return "bridge"
}

// A State is the link state of an interface. KubeVirt's third state, absent, is a fault: it does not allow it on the
// pod network.
type State string

// The link states. Up is the default.
const (
	Up   State = "up"
	Down State = "down"
)

// A Port is one entry of interfaces[].ports.
type Port struct {
	Name     string // a port name as Kubernetes has it (RFC 6335, section 5.1), unique; or empty
	Protocol string // TCP, the default, or UDP
	Number   uint16 // from 1, host byte order
}

// DHCPOptions is interfaces[].dhcpOptions. The zero value adds nothing to a lease.
type DHCPOptions struct {
	BootFileName   string          // option 67, or empty
	TFTPServerName string          // option 66, or empty
	NTPServers     []netip.Addr    // option 42: IPv4 addresses; nil when absent
	PrivateOptions []PrivateOption // in the order of the document, every code once; nil when absent
}

// A PrivateOption is a DHCP option for private use (RFC 2132, section 2).
type PrivateOption struct {
	Code  uint8 // from 224 to 254
	Value string
}

// Default returns the VM of a run without a document, or of a document that names no interfaces and no networks.
func Default() *VM {
	return &VM{
		Interface: Interface{Name: "default", Model: Virtio, Method: DelegateIP, State: Up},
		Rule:      `no interfaces and no networks: one virtio interface "default" on the pod network with delegateIp`,
	}
}
