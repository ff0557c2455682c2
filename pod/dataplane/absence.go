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

// setGuestAbsent notes that the guest's device has disappeared or returned. What has returned may be another guest, which gets a router
// advertisement.
func (d *delegation) setGuestAbsent(absent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if absent && !d.absence.isAbsent {
		d.absence.hasBeenAbsent, d.absence.since = true, d.clock()
		d.holdTimer.Reset(d.plan.holdAfter)
	}
	d.absence.isAbsent = absent
	if !absent && d.delegate.IPv6 != nil {
		d.delegate.IPv6.Advertise()
	}
}

// endAbsence runs when the time of --hold-after has passed. A device may be back without a guest behind it, so a guest counts as present only if
// it has used the address since it disappeared.
func (d *delegation) endAbsence() {
	d.mu.Lock()
	absence := d.absence
	d.mu.Unlock()
	for _, a := range d.addresses {
		if lastUse, used := a.family.LastUse(); absence.isAbsent || !used || lastUse < absence.since {
			a.leases.noteAbsence()
			a.apply(absenceExpired, vswitch.MAC{})
		}
	}
}

// probeForGuest asks the guest's port for the pod address in the state waiting, by ARP or a neighbour solicitation. A guest that had the
// address before podswitch was restarted, and that only listens, answers, which is a use of the address.
func (a *podAddress) probeForGuest() {
	d := a.delegation
	d.mu.Lock()
	isUnclaimed := a.state == waiting && !d.absence.isAbsent
	d.mu.Unlock()
	if isUnclaimed {
		d.server.Probe(vswitch.Broadcast, a.address)
	}
}
