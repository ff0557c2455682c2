package vswitch

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A new delegation is the switch's: until somebody hands the address on, the guest has none of it.
func TestNewDelegateHolder(t *testing.T) {
	d := NewDelegate(delegateConfig())
	counters := new(Counters)
	out := NewOut(delegatePorts, counters)
	frame := packetOf(100)
	setMACs(frame, MAC{2, 0xfe}, MAC{2, 1})
	copy(frame[26:], []byte{10, 0, 0, 7, 10, 0, 0, 9})
	d.Forward(PortGuest, []Frame{{Data: frame}}, 0, out)
	if diff := cmp.Diff(map[string]uint64{"not-holder": 1}, counters.Drops()); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
	if h := Holder(d.holder.Load()); h != HolderSwitch {
		t.Errorf("the holder is %v, want switch", h)
	}
}
