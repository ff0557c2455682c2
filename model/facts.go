package model

// The properties of each model. bootOrder is the only field of the document that depends on one of them; the other properties
// decide which settings from elsewhere (MTU, queues) apply.

// MultiQueue reports whether the card can have more than one pair of queues. Only virtio can (VIRTIO_NET_F_MQ): QEMU does not
// connect the queues of its emulated e1000e and igb to a tap.
func (m Model) MultiQueue() bool { return m == Virtio }

// MTUProperty reports whether the card can announce its MTU to the guest. Only virtio can (VIRTIO_NET_F_MTU). A guest with another
// model learns the MTU by DHCP; one that ignores DHCP's MTU gets clamped TCP segments and ICMP errors.
func (m Model) MTUProperty() bool { return m == Virtio }

// bootROM reports whether the card has a boot ROM, without which it cannot boot from the network. Of QEMU's cards only igb has
// none (hw/net/igb.c sets no romfile, and Debian's ipxe-qemu has no ROM for it).
func (m Model) bootROM() bool {
	switch m {
	case Virtio, E1000, E1000e, NE2kPCI, PCnet, RTL8139:
		return true
	}
	return false
}
