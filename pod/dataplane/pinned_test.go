package dataplane

import (
	"encoding/json"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/vswitch"
)

// TestTakeoverWithAnotherMAC checks that a takeover can pin a MAC that the snapshot does not have: what the snapshot has of another
// guest is dropped, and the guest with the pinned MAC keeps what it has.
func TestTakeoverWithAnotherMAC(t *testing.T) {
	old, pinned := vswitch.MAC{2, 0, 0, 0, 0, 9}, vswitch.MAC{2, 0, 0, 0, 0, 5}
	for name, c := range map[string]struct {
		state       holderState
		guest       vswitch.MAC
		lease       *leaseState
		want        holderState
		wantsLease  bool
		wantsRecent bool // the time of the last use is kept
	}{
		"another guest":                     {guest, old, &leaseState{MAC: old}, waiting, false, false},
		"another guest without a lease":     {guest, old, nil, waiting, false, false},
		"another guest has released":        {released, old, nil, waiting, false, false},
		"no guest yet":                      {waiting, vswitch.MAC{}, nil, waiting, false, false},
		"the same guest":                    {guest, pinned, &leaseState{MAC: pinned}, guest, true, true},
		"the same guest, another's lease":   {guest, pinned, &leaseState{MAC: old}, guest, false, true},
		"the same guest has released":       {released, pinned, nil, released, false, true},
		"the same guest, before a lease":    {waiting, pinned, nil, waiting, false, true},
		"another guest, the pinned's lease": {guest, old, &leaseState{MAC: pinned}, waiting, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &pod{t: t, plan: delegatePlan(t)}
			fake.plan.PinnedMAC = pinned
			d, err := newDelegation(&session{}, fake.grant(), zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			defer d.close()
			a := &addressState{familyState: familyState{State: c.state.String(), Lease: c.lease}}
			a.Delegate.Holder, a.Delegate.GuestMAC = c.state.holder().String(), [6]byte(c.guest)
			if !c.guest.IsZero() {
				age := time.Second
				a.Delegate.LastUse = &age
			}
			if err := d.resume(&snapshot{Address: a}); err != nil {
				t.Fatal(err)
			}
			got := d.snapshot().Address
			if got.State != c.want.String() || got.Delegate.Holder != c.want.holder().String() {
				t.Errorf("state %s, holder %s; want %v", got.State, got.Delegate.Holder, c.want)
			}
			if vswitch.MAC(got.Delegate.GuestMAC) != pinned || (got.Lease != nil) != c.wantsLease || (got.Delegate.LastUse != nil) != c.wantsRecent {
				t.Errorf("guest %v, lease %v, last use %v", got.Delegate.GuestMAC, got.Lease, got.Delegate.LastUse)
			}
		})
	}
}

// TestTakeoverOfABridgeWithAnotherMAC is the same for a learning switch: stations of other MACs at the guest's port are dropped.
func TestTakeoverOfABridgeWithAnotherMAC(t *testing.T) {
	pinned := vswitch.MAC{2, 0, 0, 0, 0, 5}
	d := &pod{t: t}
	g := d.grant()
	g.Forwarder.Bridge.Pinned, g.Forwarder.Bridge.PinnedPort = pinned.String(), vswitch.PortGuest
	b, err := newBridging(&session{}, g, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	var snap snapshot
	text := `{"bridge":{"stations":[{"mac":"02:00:00:00:00:08","port":1},{"mac":"02:00:00:00:00:09","port":0}]}}`
	if err := json.Unmarshal([]byte(text), &snap); err != nil {
		t.Fatal(err)
	}
	if err := b.resume(&snap); err != nil {
		t.Fatal(err)
	}
	if got := b.snapshot().Bridge.Stations; len(got) != 1 || got[0].Port != vswitch.PortUplink {
		t.Errorf("stations %v, want the one of the uplink", got)
	}
}
