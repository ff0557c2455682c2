// Package model parses and validates VM documents. A VM document describes the network interface of a virtual machine and how
// it is connected to the network of the pod that the machine runs in.
//
//	vm, err := model.Parse(data)
//	if err != nil {
//		return err // one line for each fault, with the path of the field
//	}
//	if vm.Interface.Method == model.DelegateIP {
//		// the guest gets the pod address
//	}
//
// [Parse] reads a document, fills in every default and reports all faults at once. [Default] returns the VM of a document that
// sets nothing. [VM.Marshal] writes a VM back as a document.
//
// The package is pure: it opens no files, keeps no state and starts no goroutines. Its functions are safe for concurrent use.
//
// # Shapes
//
// A document is YAML or JSON in one of three formats. The location of the interfaces decides which one, not the kind:
//
//	spec.devices.interfaces                        spec.networks                 podswitch's own format
//	spec.domain.devices.interfaces                 spec.networks                 KubeVirt, VirtualMachineInstance
//	spec.template.spec.domain.devices.interfaces   spec.template.spec.networks   KubeVirt, VirtualMachine
//
// In podswitch's own format, an absent bridge.delegateIp means false. In KubeVirt's formats it means true, because KubeVirt
// itself delegates the address for "bridge: {}". A document without interfaces and networks means [Default] in every format.
//
// # Unknown fields
//
// Whether an unknown field is a fault depends on the object that contains it:
//
//   - Closed objects are defined by podswitch: the entries of interfaces and networks with all that they contain, the top level
//     of the document, and spec.template. An unknown field in a closed object is a fault.
//   - Open objects are defined by KubeVirt and lead to the closed ones: spec, spec.devices, spec.domain, spec.domain.devices,
//     and the same below spec.template. They may contain any field (cpu, disks, volumes, ...). A field is a fault only if
//     its name resembles one that podswitch reads: a misspelling (spec.network) or a known name in the wrong place
//     (spec.interfaces). Without this rule a typing error would silently give the guest the default connection.
//
// Parse ignores everything else: metadata, status, the contents of disks, ...
//
// # Null and empty values
//
// As in Kubernetes, null and "" mean that a field is absent. There are two exceptions. A method or a backend ("bridge:",
// "pod:") is selected by its name alone. "delegateIp:" without a value is a fault, because either value may be meant.
//
// # YAML
//
// The dialect is that of the Kubernetes clients: go.yaml.in/yaml/v2, the decoder inside sigs.k8s.io/yaml. This package uses the
// decoder directly, because the wrapper ignores everything after the first document and stops at the first kind of fault.
package model

import (
	"net"
	"net/netip"
)

// A VM is a validated VM document with every default filled in. The zero value is not valid: start from [Default] or [Parse].
type VM struct {
	Interface Interface // the only interface; it is on the pod network
	Hostname  string    // spec.hostname: a DNS label, or empty
	Subdomain string    // spec.subdomain: a DNS label, or empty
	Rule      string    // one line: the rule that selected the connection method; Marshal does not write it
}

// An Interface is the guest's network interface. The fields follow KubeVirt's v1.Interface.
type Interface struct {
	Name       string           // also the name of its network
	Model      Model            // the network card that the guest sees
	MAC        net.HardwareAddr // 6 bytes, unicast; nil when the document sets none
	Method     Method           // how the interface is connected to the pod network
	RouterMAC  net.HardwareAddr // the MAC that the guest sees for every other host, 6 bytes, unicast, not MAC; nil when the document sets none; only in podswitch's own format
	BootOrder  uint64           // from 1; 0 when absent
	PCIAddress string           // domain:bus:slot.function in hexadecimal (0000:02:00.0), or empty
	ACPIIndex  int              // from 1 to 16383; 0 when absent
	State      State            // link state
	Tag        string           // a label that the guest can read from its metadata service, or empty
	Ports      []Port           // the ports that the guest declares to listen on, for information; nil when absent
	DHCP       DHCPOptions      // additional DHCP options for the guest
}

// A Model is a network card that a hypervisor can emulate. The zero value is not a valid model.
type Model string

// The models that KubeVirt accepts. Virtio is the default.
const (
	Virtio  Model = "virtio"
	E1000   Model = "e1000"
	E1000e  Model = "e1000e"
	IGB     Model = "igb"
	NE2kPCI Model = "ne2k_pci"
	PCnet   Model = "pcnet"
	RTL8139 Model = "rtl8139"
)

// A Method is the way in which an interface is connected to the pod network. The zero value is [Bridge].
type Method uint8

// The two forms of the bridge method.
const (
	Bridge     Method = iota // an Ethernet bridge; the pod address stays with the pod's kernel
	DelegateIP               // the pod address moves to the guest, by DHCP; one of each IP version that the pod has
)

// String returns the method as the documentation of the VM document names it: bridge or bridge.delegateIp.
func (m Method) String() string {
	if m == DelegateIP {
		return "bridge.delegateIp"
	}
	return "bridge"
}

// A State is the link state of an interface. The zero value is not a valid state. KubeVirt's third state, absent, is a fault:
// KubeVirt does not allow it for an interface on the pod network.
type State string

// The link states. Up is the default.
const (
	Up   State = "up"
	Down State = "down"
)

// A Port is one entry of interfaces[].ports.
type Port struct {
	Name     string // a Kubernetes port name (RFC 6335, section 5.1), unique in the interface; or empty
	Protocol string // TCP (the default) or UDP
	Number   uint16 // from 1, in host byte order
}

// DHCPOptions is interfaces[].dhcpOptions. The zero value adds no options.
type DHCPOptions struct {
	BootFileName   string          // option 67, or empty; with DHCPv6 option 59, if it is a URL or the TFTP server has an IPv6 address or a name
	TFTPServerName string          // option 66, or empty
	NTPServers     []netip.Addr    // options 42 and, for IPv6 addresses, 56 and 31 of DHCPv6; nil when absent; IPv6 only in podswitch's own format
	PrivateOptions []PrivateOption // in the order of the document, each code once; nil when absent
	BootFiles      []BootFile      // instead of BootFileName for some clients, in order; nil when absent; only in podswitch's own format
	Options        []Option        // other options, each code once; nil when absent; only in podswitch's own format
	BootParameters []string        // option 60 of DHCPv6, for what the boot file starts; nil when absent; only in podswitch's own format
	Subnet         Subnet          // which clients get a subnet that has the gateway in it; only in podswitch's own format
}

// A BootFile is the boot file for clients of a user class or an architecture. At least one of the two is given.
type BootFile struct {
	UserClass    string  // option 77 of the client, or empty: any
	Architecture *uint16 // option 93 of the client (RFC 4578, section 2.1); nil: any
	Name         string  // option 67
}

// An Option is a DHCP option that podswitch has no other value for.
type Option struct {
	Code  uint8  // below 224
	Value string // the bytes of the option
}

// A Subnet says which DHCP clients get a subnet that has the gateway in it, if the pod's subnet has not.
type Subnet string

// The values of [Subnet].
const (
	SubnetAuto Subnet = ""     // clients that request no routes
	SubnetWide Subnet = "wide" // all clients
	SubnetPod  Subnet = "pod"  // none
)

// A PrivateOption is a DHCP option for private use (RFC 2132, section 2).
type PrivateOption struct {
	Code  uint8  // from 224 to 254
	Value string // the bytes of the option
}

// Default returns a new VM as [Parse] returns it for a document without interfaces and networks.
func Default() *VM {
	return &VM{
		Interface: Interface{Name: "default", Model: Virtio, Method: DelegateIP, State: Up},
		Rule:      `no interfaces and no networks: one virtio interface "default" on the pod network with delegateIp`,
	}
}
