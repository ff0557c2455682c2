package model

// What follows from a model: which of the things that a hypervisor can give to a network card the card has a place for.
// Of them the document can ask for network boot only, by bootOrder; a field for one of the others is unknown in it. Settings
// from elsewhere can ask for all.

// Offloads tells whether the guest may leave checksums and segmentation to the other side of the card, and take them from
// there. It is so with virtio only: its frames travel with the header of VIRTIO 1.2, section 5.1.6, while an emulated
// card has to hand over finished frames.
func (m Model) Offloads() bool { return m == Virtio }

// MultiQueue tells whether the card can have more than one pair of queues. It is so with virtio only
// (VIRTIO_NET_F_MQ); what e1000e and igb have for themselves, QEMU's emulation does not pass on to a tap.
func (m Model) MultiQueue() bool { return m == Virtio }

// MTUProperty tells whether the card can show its MTU to the guest. It is so with virtio only (VIRTIO_NET_F_MTU); with the
// others the guest learns the MTU by DHCP, and a guest that ignores it by clamped TCP segments and ICMP.
func (m Model) MTUProperty() bool { return m == Virtio }

// BootROM tells whether the card has a boot ROM, without which it cannot boot from the network. Of QEMU's cards only igb has
// none (hw/net/igb.c names no romfile, and Debian's ipxe-qemu has no ROM for it).
func (m Model) BootROM() bool {
	switch m {
	case Virtio, E1000, E1000e, NE2kPCI, PCnet, RTL8139:
		return true
	}
	return false
}
