package dataplane

import (
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// An absence says whether the guest's device, or the hypervisor behind it, is absent, and since when, on the switch's
// clock. A guest that is absent for longer than --hold-after loses the address to the switch, so that the pod answers; a guest that returns earlier
// keeps it.
type absence struct {
	isAbsent      bool
	hasBeenAbsent bool // it has been absent at least once
	since         time.Duration
}

// setGuestAbsent notes that the guest's device has disappeared or returned.
func (d *delegation) setGuestAbsent(absent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if absent && !d.absence.isAbsent {
		d.absence.hasBeenAbsent, d.absence.since = true, d.clock()
		d.holdTimer.Reset(d.plan.holdAfter)
	}
	d.absence.isAbsent = absent
}

// endAbsence runs when the time of --hold-after has passed. A device may be back without a guest behind it, so a guest counts as present only if
// it has used the address since it disappeared.
func (d *delegation) endAbsence() {
	d.mu.Lock()
	lastUse, used := d.delegate.IPv4.LastUse()
	isGone := d.absence.isAbsent || !used || lastUse < d.absence.since
	d.mu.Unlock()
	if isGone {
		d.leases.noteAbsence()
		d.apply(absenceExpired, vswitch.MAC{})
	}
}

// probeForGuest sends an ARP request for the pod address to the guest's port in the state waiting. A guest that had the address before
// podswitch was restarted, and that only listens, answers, which is a use of the address.
func (d *delegation) probeForGuest() {
	d.mu.Lock()
	isUnclaimed := d.state == waiting && !d.absence.isAbsent
	d.mu.Unlock()
	if isUnclaimed {
		d.server.Probe(vswitch.Broadcast, d.plan.forwarder.Address.Addr())
	}
}
