package model

import "testing"

// TestFacts checks the properties of every model. Each model needs a row here.
func TestFacts(t *testing.T) {
	for _, c := range []struct {
		model                    Model
		multiQueue, mtuProp, rom bool
	}{
		{Virtio, true, true, true},
		{E1000, false, false, true},
		{E1000e, false, false, true},
		{IGB, false, false, false},
		{NE2kPCI, false, false, true},
		{PCnet, false, false, true},
		{RTL8139, false, false, true},
		{"", false, false, false},
	} {
		if got := c.model.MultiQueue(); got != c.multiQueue {
			t.Errorf("%q: multiqueue %t, want %t", c.model, got, c.multiQueue)
		}
		if got := c.model.MTUProperty(); got != c.mtuProp {
			t.Errorf("%q: MTU property %t, want %t", c.model, got, c.mtuProp)
		}
		if got := c.model.bootROM(); got != c.rom {
			t.Errorf("%q: boot ROM %t, want %t", c.model, got, c.rom)
		}
	}
}
