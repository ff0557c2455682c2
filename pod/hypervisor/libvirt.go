package hypervisor

import (
	"encoding/xml"
	"fmt"
	"strconv"

	"github.com/podswitch/podswitch/model"
)

// LibvirtXML returns the <interface> element of libvirt's domain XML for the interface of vm, with a final newline (libvirt's "Domain
// XML format", section "Network interfaces"). The element is that of KubeVirt's bridge binding, with two differences for other
// machines: the model of virtio is "virtio" and not "virtio-non-transitional", which requires PCI Express; and the driver has no
// name, so that libvirt uses vhost only if it is available.
//
// Only KindPacket has a form in libvirt. For sockets libvirt supports TCP, UDP, vhost-user, and passt started by itself. The error for
// stream and dgram refers to podswitch qemu-args, whose output can be used in <qemu:commandline>.
//
// LibvirtXML ignores Settings.Bus: libvirt accepts pciAddress as it is.
func LibvirtXML(vm *model.VM, guest Attachment, s Settings) ([]byte, error) {
	e, err := resolve(vm, guest, s)
	switch {
	case err != nil:
		return nil, err
	case guest.Kind != KindPacket:
		return nil, fmt.Errorf("guest %s: libvirt's <interface> does not support it (use packet:NAME, or put the output of podswitch "+
			"qemu-args into <qemu:commandline>)", guest)
	}
	text, err := xml.MarshalIndent(e.element(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the interface %q as XML: %w", vm.Interface.Name, err)
	}
	return append(text, '\n'), nil
}

// An xmlInterface is libvirt's <interface>. Nil fields are omitted.
type xmlInterface struct {
	XMLName xml.Name    `xml:"interface"`
	Type    string      `xml:"type,attr"`
	Alias   xmlNamed    `xml:"alias"`
	MAC     xmlMAC      `xml:"mac"`
	Target  xmlTarget   `xml:"target"`
	Model   xmlTyped    `xml:"model"`
	Driver  *xmlDriver  `xml:"driver"`
	MTU     *xmlMTU     `xml:"mtu"`
	Link    *xmlLink    `xml:"link"`
	ROM     *xmlROM     `xml:"rom"`
	Boot    *xmlBoot    `xml:"boot"`
	ACPI    *xmlACPI    `xml:"acpi"`
	Address *xmlAddress `xml:"address"`
}

type (
	xmlNamed struct {
		Name string `xml:"name,attr"`
	}
	xmlMAC struct {
		Address string `xml:"address,attr"`
	}
	xmlTarget struct {
		Dev     string `xml:"dev,attr"`
		Managed string `xml:"managed,attr"`
	}
	xmlTyped struct {
		Type string `xml:"type,attr"`
	}
	xmlDriver struct {
		Queues int      `xml:"queues,attr,omitempty"`
		Host   *xmlHost `xml:"host"`
	}
	xmlHost struct {
		UFO string `xml:"ufo,attr"`
	}
	xmlMTU struct {
		Size int `xml:"size,attr"`
	}
	xmlLink struct {
		State string `xml:"state,attr"`
	}
	xmlROM struct {
		Enabled string `xml:"enabled,attr"`
	}
	xmlBoot struct {
		Order uint64 `xml:"order,attr"`
	}
	xmlACPI struct {
		Index int `xml:"index,attr"`
	}
	xmlAddress struct {
		Type     string `xml:"type,attr"`
		Domain   string `xml:"domain,attr"`
		Bus      string `xml:"bus,attr"`
		Slot     string `xml:"slot,attr"`
		Function string `xml:"function,attr"`
	}
)

// element returns the element of e. libvirt requires the prefix "ua-" for an alias that it has not assigned. The tap is not managed:
// libvirt only opens it.
func (e *endpoint) element() *xmlInterface {
	x := &xmlInterface{
		Type:   "ethernet",
		Alias:  xmlNamed{"ua-" + e.Name},
		MAC:    xmlMAC{e.mac.String()},
		Target: xmlTarget{Dev: e.guest.Name, Managed: "no"},
		Model:  xmlTyped{string(e.Model)},
	}
	if e.hasOffloads() {
		x.Driver = &xmlDriver{Host: &xmlHost{"off"}}
		if e.queues > 1 {
			x.Driver.Queues = e.queues
		}
	}
	if e.mtu != 0 {
		x.MTU = &xmlMTU{e.mtu}
	}
	if e.State == model.Down {
		x.Link = &xmlLink{string(model.Down)}
	}
	if e.BootOrder == 0 {
		x.ROM = &xmlROM{"no"}
	} else {
		x.Boot = &xmlBoot{e.BootOrder}
	}
	if e.ACPIIndex != 0 {
		x.ACPI = &xmlACPI{e.ACPIIndex}
	}
	if e.PCIAddress != "" {
		x.Address = e.pci.element()
	}
	return x
}

// element returns the <address> of a.
func (a pciAddress) element() *xmlAddress {
	hex := func(digits string, n uint64) string { return fmt.Sprintf("0x%"+digits+"x", n) }
	return &xmlAddress{Type: "pci", Domain: hex("04", a.domain), Bus: hex("02", a.bus), Slot: hex("02", a.slot),
		Function: "0x" + strconv.FormatUint(a.function, 16)}
}
