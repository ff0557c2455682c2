package model

// What follows from a model: which of the things that a hypervisor can give to a network card the card has a place for.
// No field of the document asks for one of them, so that no document can ask for too much; settings from elsewhere can.

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
