package model

import "testing"

// TestFacts shows that virtio has what no emulated card has. A model without a row here is a mistake of the table.
func TestFacts(t *testing.T) {
	for _, c := range []struct {
		model                         Model
		offloads, multiQueue, mtuProp bool
	}{
		{Virtio, true, true, true},
		{E1000, false, false, false},
		{E1000e, false, false, false},
		{IGB, false, false, false},
		{NE2kPCI, false, false, false},
		{PCnet, false, false, false},
		{RTL8139, false, false, false},
		{"", false, false, false},
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
	}
}
