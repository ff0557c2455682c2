package model

import "testing"

// TestFacts shows that virtio has what no emulated card has, and which cards boot from the network. A model without a
// row here is a mistake of the table.
func TestFacts(t *testing.T) {
	for _, c := range []struct {
		model                              Model
		offloads, multiQueue, mtuProp, rom bool
	}{
		{Virtio, true, true, true, true},
		{E1000, false, false, false, true},
		{E1000e, false, false, false, true},
		{IGB, false, false, false, false},
		{NE2kPCI, false, false, false, true},
		{PCnet, false, false, false, true},
		{RTL8139, false, false, false, true},
		{"", false, false, false, false},
	} {
		if got := c.model.Offloads(); got != c.offloads {
			t.Errorf("%q: offloads %t, want %t", c.model, got, c.offloads)
		}
		if got := c.model.MultiQueue(); got != c.multiQueue {
			t.Errorf("%q: multiqueue %t, want %t", c.model, got, c.multiQueue)
		}
		if got := c.model.MTUProperty(); got != c.mtuProp {
			t.Errorf("%q: MTU property %t, want %t", c.model, got, c.mtuProp)
		}
		if got := c.model.BootROM(); got != c.rom {
			t.Errorf("%q: boot ROM %t, want %t", c.model, got, c.rom)
		}
	}
}
