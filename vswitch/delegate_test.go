package vswitch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/podswitch/podswitch/internal/packet"
)

// The switch is the holder of a new delegate: packets of the guest are dropped until SetHolder.
func TestNewDelegateHolder(t *testing.T) {
	d := NewDelegate(delegateConfig())
	counters := new(Counters)
	out := NewOut(delegatePorts, counters)
	frame := packetOf(100)
	packet.SetMACs(frame, MAC{2, 0xfe}, MAC{2, 1})
	setIPs(frame, 10, 0, 0, 7, 10, 0, 0, 9)
	d.Forward(PortGuest, []Frame{{Data: frame}}, 0, out)
	if diff := cmp.Diff(map[string]uint64{"not-holder": 1}, counters.Drops()); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
	if h := Holder(d.IPv4.holder.Load()); h != HolderSwitch {
		t.Errorf("the holder is %v, want switch", h)
	}
}

// A use of the pod address is recorded even if SetHolder makes its MAC the guest's at the same time and another MAC has used the address
// just before.
func TestHandDuringUse(t *testing.T) {
	before, guest := MAC{2, 1}, MAC{2, 2}
	for range 5000 {
		d := NewDelegate(delegateConfig())
		d.IPv4.SetHolder(HolderGuest, before)
		d.IPv4.recordUse(before, time.Second, false)
		now := time.Second + useInterval/2
		handed := make(chan struct{})
		go func() {
			d.IPv4.SetHolder(HolderGuest, guest)
			close(handed)
		}()
		d.IPv4.recordUse(guest, now, false)
		<-handed
		by, okBy := d.IPv4.LastUseBy(guest)
		last, ok := d.IPv4.LastUse()
		if by != now || last != now || !okBy || !ok {
			t.Fatalf("LastUseBy = %v, %v; LastUse = %v, %v; want %v", by, okBy, last, ok, now)
		}
	}
}
