package hypervisor

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/podswitch/podswitch/model"
)

// Settings are the settings of the hypervisor that are not in the VM document. The zero value is valid if the document has a MAC or
// delegateIp.
type Settings struct {
	MTU    int              // in bytes; 0: unknown. Models without an MTU property ignore it
	MAC    net.HardwareAddr // of the guest; nil: the MAC of the document, else that of DeriveMAC
	PodMAC net.HardwareAddr // of the pod interface; nil: unknown
	Queues int              // queue pairs; 0 means 1
	Bus    string           // QEMU's id of the PCI bus of pciAddress; empty: bus 00
}

// MaxQueues is the largest number of queue pairs (MAX_TAP_QUEUES of the kernel's drivers/net/tun.c).
const MaxQueues = 256

// The limits of the MTU.
const (
	minMTU = 68    // RFC 791, section 3.2: the size that every host must be able to forward
	maxMTU = 65535 // VIRTIO 1.2, section 5.1.4: the field has 16 bits
)

// An endpoint is the validated configuration of the hypervisor's side.
type endpoint struct {
	*model.Interface
	guest  Attachment
	mac    net.HardwareAddr
	mtu    int // 0: the card does not announce one
	queues int // 1 or more
	bus    string
	pci    pciAddress // zero without a pciAddress
}

// resolve checks document, attachment and settings, and combines them.
func resolve(vm *model.VM, guest Attachment, s Settings) (*endpoint, error) {
	if _, err := ParseAttachment(guest.String()); err != nil {
		return nil, err
	}
	if err := guest.checkUsable(); err != nil {
		return nil, err
	}
	e := &endpoint{Interface: &vm.Interface, guest: guest, queues: max(s.Queues, 1), bus: s.Bus}
	var err error
	if e.mac, err = chooseMAC(&vm.Interface, s); err != nil {
		return nil, err
	}
	if s.MTU != 0 && (s.MTU < minMTU || s.MTU > maxMTU) {
		return nil, fmt.Errorf("--mtu %d: want %d to %d, or 0 for none", s.MTU, minMTU, maxMTU)
	}
	if vm.Interface.Model.MTUProperty() {
		e.mtu = s.MTU
	}
	if vm.Interface.PCIAddress != "" {
		if e.pci, err = parsePCIAddress(vm.Interface.PCIAddress); err != nil {
			return nil, err
		}
	}
	return e, checkQueues(s.Queues, vm.Interface.Model, guest)
}

// checkQueues checks that model and attachment support the number of queue pairs.
func checkQueues(queues int, m model.Model, guest Attachment) error {
	switch {
	case queues < 0 || queues > MaxQueues:
		return fmt.Errorf("--queues %d: want 1 to %d", queues, MaxQueues)
	case queues > 1 && !m.MultiQueue():
		return fmt.Errorf("--queues %d: the model %s has one pair (want 1, or the model %s)", queues, m, model.Virtio)
	case queues > 1 && guest.Kind != KindPacket:
		return fmt.Errorf("--queues %d: the attachment %s has one pair (want 1, or a tap as packet:NAME)", queues, guest)
	}
	return nil
}

// chooseMAC returns the MAC of the settings, of the document, or a derived one, in this order, which is that of podswitch run.
func chooseMAC(i *model.Interface, s Settings) (net.HardwareAddr, error) {
	switch {
	case s.MAC != nil && (len(s.MAC) != 6 || s.MAC[0]&1 != 0 || bytes.Equal(s.MAC, make([]byte, 6))):
		return nil, fmt.Errorf("MAC %q: want six bytes of a unicast address, such as 52:54:00:12:34:56", s.MAC)
	case s.MAC != nil:
		return s.MAC, nil
	case i.MAC != nil:
		return i.MAC, nil
	case s.PodMAC == nil && i.Method == model.Bridge:
		return nil, fmt.Errorf("interface %q: the guest has no MAC; with a plain bridge it must be unique on the pod network, and cannot be derived "+
			"without the MAC of the pod interface (set --guest-mac or macAddress)", i.Name)
	}
	return DeriveMAC(i.Name, s.PodMAC), nil
}

// DeriveMAC returns a MAC for a guest whose MAC is not set: six bytes, unicast, locally administered (IEEE 802, section 8.4). It is the
// start of a SHA-256 sum of the interface name and the MAC of the pod interface, and thus always the same for both.
//
// If pod is nil, guests with the same interface name have the same MAC. This is acceptable only with delegateIp, where no MAC of a
// guest leaves the pod.
func DeriveMAC(name string, pod net.HardwareAddr) net.HardwareAddr {
	sum := sha256.Sum256([]byte("podswitch guest\x00" + name + "\x00" + string(pod)))
	mac := net.HardwareAddr(sum[:6])
	mac[0] = mac[0]&^1 | 2
	return mac
}

// A pciAddress is an address on the guest's PCI buses.
type pciAddress struct{ domain, bus, slot, function uint64 }

// maxSlot is the last slot of a bus. The field has five bits.
const maxSlot = 0x1f

// parsePCIAddress reads domain:bus:slot.function in hexadecimal.
func parsePCIAddress(text string) (a pciAddress, err error) {
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == ':' || r == '.' })
	parts := []*uint64{&a.domain, &a.bus, &a.slot, &a.function}
	if len(fields) != len(parts) {
		return a, fmt.Errorf("pciAddress %q: want domain:bus:slot.function, such as 0000:02:00.0", text)
	}
	for i, part := range parts {
		var failed error
		*part, failed = strconv.ParseUint(fields[i], 16, 16)
		err = errors.Join(err, failed)
	}
	if err != nil || a.bus > 0xff || a.slot > maxSlot || a.function > 7 {
		return a, fmt.Errorf("pciAddress %q: want domain:bus:slot.function with a slot of at most %x, such as 0000:02:00.0", text, maxSlot)
	}
	return a, nil
}
