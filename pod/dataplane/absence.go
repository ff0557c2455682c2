package dataplane

import (
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// An absence says whether the guest's device, or the hypervisor behind it, is away, and when it last disappeared, on the switch's
// clock. A guest that is away for the hold time loses the address to the switch, so that the pod answers; a guest that returns earlier
// keeps it.
type absence struct {
	isAbsent bool
	hasLeft  bool // it has been away at least once
	since    time.Duration
}

// setGuestAbsent notes that the guest's device has disappeared or returned.
func (d *delegation) setGuestAbsent(absent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if absent && !d.away.isAbsent {
		d.away.hasLeft, d.away.since = true, d.clock()
		d.holdTimer.Reset(d.plan.holdAfter)
	}
	d.away.isAbsent = absent
}

// endAbsence runs when the hold time has passed. A device may be back without a guest behind it, so a guest counts as present only if
// it has used the address since it disappeared.
func (d *delegation) endAbsence() {
	d.mu.Lock()
	lastUse, used := d.delegate.LastUse()
	gone := d.away.isAbsent || !used || lastUse < d.away.since
	d.mu.Unlock()
	if gone {
		d.leases.noteAbsence()
		d.apply(absenceExpired, vswitch.MAC{})
	}
}

// probeForGuest sends an ARP request for the pod address to the guest's port in the state waiting. A guest that had the address before
// podswitch was restarted, and that only listens, answers, which is a use of the address.
func (d *delegation) probeForGuest() {
	d.mu.Lock()
	isUnclaimed := d.state == waiting && !d.away.isAbsent
	d.mu.Unlock()
	if isUnclaimed {
		d.server.Probe(vswitch.Broadcast, d.plan.forwarder.Address.Addr())
	}
}
